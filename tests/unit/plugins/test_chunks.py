"""Pieces of files that are read and written by hand, beside what protobuf makes of them."""

from __future__ import annotations

import google_crc32c
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from gateway.artifacts.model import Piece
from gateway.errors import ChecksumMismatch, Reason, RemoteError
from gateway.wire.chunks import piece_from_wire, piece_to_wire
from peftstudio.connector.v1 import connector_service_pb2 as connector_pb
from peftstudio.gateway.v1 import artifacts_service_pb2 as gateway_pb
from peftstudio.job.v1.artifact_pb2 import Chunk

pytestmark = pytest.mark.unit

offsets = st.integers(-(2**63), 2**63 - 1) | st.integers(0, 300)
datas = st.binary(max_size=300)


def message(
    offset: int, data: bytes, has_crc: bool, size: int | None = None, sha256: str = ""
) -> connector_pb.FetchArtifactResponse:
    chunk = Chunk(offset=offset, data=data, crc32c=google_crc32c.value(data) if has_crc else None)
    return connector_pb.FetchArtifactResponse(chunk=chunk, size=size, sha256=sha256)


def decoded(wire: bytes) -> Piece | type[Exception]:
    """Decode with protobuf."""
    try:
        found = connector_pb.FetchArtifactResponse.FromString(wire)
    except DecodeError:
        return RemoteError
    data = found.chunk.data
    if found.chunk.HasField("crc32c") and found.chunk.crc32c != google_crc32c.value(data):
        return ChecksumMismatch
    return Piece(found.chunk.offset, data, found.size if found.HasField("size") else None, found.sha256.lower())


def by_hand(wire: bytes) -> Piece | type[Exception]:
    try:
        return piece_from_wire(wire)
    except (RemoteError, ChecksumMismatch) as error:
        return type(error)


@given(offsets, st.binary(min_size=1, max_size=300))
def test_a_piece_is_written_as_protobuf_does(offset: int, data: bytes) -> None:
    chunk = Chunk(offset=offset, data=data, crc32c=google_crc32c.value(data))
    assert piece_to_wire(offset, data) == gateway_pb.FetchArtifactResponse(chunk=chunk).SerializeToString()


@given(st.builds(message, offsets, datas, st.booleans(), st.none() | offsets, st.sampled_from(["", "AB12"])))
def test_every_message_of_a_connector_is_read_as_protobuf_does(sent: connector_pb.FetchArtifactResponse) -> None:
    assert by_hand(sent.SerializeToString()) == decoded(sent.SerializeToString())


@given(
    st.builds(message, offsets, datas, st.booleans()),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=3),
    st.integers(0, 400),
    st.binary(max_size=12),
)
def test_bytes_that_are_damaged_cut_or_prolonged_are_read_as_protobuf_does(
    sent: connector_pb.FetchArtifactResponse, damages: list[tuple[int, int]], end: int, more: bytes
) -> None:
    wire = bytearray(sent.SerializeToString()[:end] + more)
    for place, byte in damages:
        if place < len(wire):
            wire[place] = byte
    assert by_hand(bytes(wire)) == decoded(bytes(wire))


def test_damage_on_the_way_is_told_with_its_place() -> None:
    wire = bytearray(message(5, b"abcdef", has_crc=True).SerializeToString())
    wire[8] ^= 1
    with pytest.raises(ChecksumMismatch, match="offset 5"):
        piece_from_wire(bytes(wire))


def test_what_is_no_message_is_the_connectors_fault() -> None:
    with pytest.raises(RemoteError) as caught:
        piece_from_wire(b"\x0a\xff")
    assert caught.value.reason is Reason.BAD_UPSTREAM
