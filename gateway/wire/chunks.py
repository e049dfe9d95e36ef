"""Pieces of files in wire format, read and written with one copy of the bytes instead of one for each layer."""

from __future__ import annotations

import google_crc32c
from google.protobuf.message import DecodeError

from gateway.artifacts.model import Piece
from gateway.errors import Reason, RemoteError
from gateway.wire.artifacts import damaged, data_from_chunk
from gateway.wire.fields import read_varint, varint
from peftstudio.connector.v1 import connector_service_pb2 as connector_pb
from peftstudio.gateway.v1 import artifacts_service_pb2 as gateway_pb
from peftstudio.job.v1.artifact_pb2 import Chunk

_CHUNK_TAG = bytes([connector_pb.FetchArtifactResponse.CHUNK_FIELD_NUMBER << 3 | 2])
_OFFSET_TAG = bytes([Chunk.OFFSET_FIELD_NUMBER << 3])
_DATA_TAG = bytes([Chunk.DATA_FIELD_NUMBER << 3 | 2])
_CRC_TAG = bytes([Chunk.CRC32C_FIELD_NUMBER << 3 | 5])
_CRC_BYTES = 4
_MOST_OFFSET = 2**63 - 1


def piece_to_wire(offset: int, data: bytes) -> bytes:
    """Encode the gateway's `FetchArtifactResponse` with these bytes, which are not none, and their checksum."""
    head = Chunk(offset=offset).SerializeToString() + _DATA_TAG + varint(len(data))
    tail = _CRC_TAG + google_crc32c.value(data).to_bytes(_CRC_BYTES, "little")
    size = len(head) + len(data) + len(tail)
    tag = gateway_pb.FetchArtifactResponse.CHUNK_FIELD_NUMBER << 3 | 2
    return b"".join((varint(tag), varint(size), head, data, tail))


def piece_from_wire(message: bytes) -> Piece:
    """Decode a connector's `FetchArtifactResponse`.

    Raises:
        ChecksumMismatch: The checksum that came along is that of other bytes.
        RemoteError: It is no such message (BAD_UPSTREAM).

    """
    piece = _plain(message)
    if piece is not None:
        return piece
    try:
        fetched = connector_pb.FetchArtifactResponse.FromString(message)
    except DecodeError as error:
        raise RemoteError("a piece of the file cannot be decoded", reason=Reason.BAD_UPSTREAM) from error
    size = fetched.size if fetched.HasField("size") else None
    return Piece(fetched.chunk.offset, data_from_chunk(fetched.chunk), size, fetched.sha256.lower())


def _plain(message: bytes) -> Piece | None:
    """Read the form that nearly all messages have, a chunk in the order of its fields and no more; None = another."""
    view = memoryview(message)
    size, at = read_varint(view, 1)
    if message[:1] != _CHUNK_TAG or not at or at + size != len(message):
        return None
    offset = 0
    if message[at : at + 1] == _OFFSET_TAG:
        offset, at = read_varint(view, at + 1)
    if not at or offset > _MOST_OFFSET or message[at : at + 1] != _DATA_TAG:
        return None
    size, at = read_varint(view, at + 1)
    data, rest = message[at : at + size], message[at + size :]
    if not at or len(data) != size:
        return None
    if not rest:
        return Piece(offset, data)
    if rest[:1] != _CRC_TAG or len(rest) != 1 + _CRC_BYTES:
        return None
    if int.from_bytes(rest[1:], "little") != google_crc32c.value(data):
        raise damaged(offset)
    return Piece(offset, data)
