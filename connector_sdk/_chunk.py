"""The messages of a file in wire format, put together with one copy of the bytes instead of one for each layer."""

from __future__ import annotations

from collections.abc import Sequence

from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.job.v1.artifact_pb2 import Chunk

_DATA_TAG = bytes([Chunk.DATA_FIELD_NUMBER << 3 | 2])
_CHUNK_TAG = bytes([pb.FetchArtifactResponse.CHUNK_FIELD_NUMBER << 3 | 2])


def fetched(offset: int, parts: Sequence[bytes], size: int) -> bytes:
    """Encode the `FetchArtifactResponse` with the bytes of these parts, which are `size` together and not none."""
    head = Chunk(offset=offset).SerializeToString() + _DATA_TAG + varint(size)
    return b"".join((_CHUNK_TAG, varint(len(head) + size), head, *parts))


def varint(value: int) -> bytes:
    """Encode a number that is not negative."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
