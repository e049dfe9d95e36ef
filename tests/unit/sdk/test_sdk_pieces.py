"""Pieces of files: how an author's bytes are cut, put together and encoded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector_sdk import _pieces
from connector_sdk._chunk import fetched
from connector_sdk._pieces import MOST_PARTS, PIECE_BYTES, parts_of
from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.job.v1.artifact_pb2 import Chunk

pytestmark = pytest.mark.unit


async def given_as(*given: bytes) -> AsyncIterator[bytes]:
    for data in given:
        yield data


async def cut(source: AsyncIterator[bytes] | bytes) -> list[bytes]:
    return [b"".join(parts) async for parts in parts_of(source)]


@given(st.integers(0, 2**63 - 1), st.lists(st.binary(max_size=200), min_size=1, max_size=4).filter(any))
def test_a_message_is_written_as_protobuf_does(offset: int, parts: list[bytes]) -> None:
    data = b"".join(parts)
    wanted = pb.FetchArtifactResponse(chunk=Chunk(offset=offset, data=data))
    assert fetched(offset, parts, len(data)) == wanted.SerializeToString()


@pytest.mark.parametrize("sizes", [[], [0], [1, 0, 2], [PIECE_BYTES], [PIECE_BYTES - 1, 2], [3 * PIECE_BYTES + 5, 7]])
async def test_pieces_are_full_but_for_the_last_however_the_author_gives_them(sizes: list[int]) -> None:
    whole = [bytes([number]) * size for number, size in enumerate(sizes)]
    pieces = await cut(given_as(*whole))
    assert b"".join(pieces) == b"".join(whole)
    assert all(len(piece) == PIECE_BYTES for piece in pieces[:-1])
    assert await cut(b"".join(whole)) == pieces


async def test_so_many_parts_are_a_piece_however_small_they_are() -> None:
    assert [len(piece) for piece in await cut(given_as(*[b"x"] * (MOST_PARTS + 1)))] == [MOST_PARTS, 1]


async def test_an_author_may_use_a_buffer_again() -> None:
    buffer = bytearray(b"one")

    async def reusing() -> AsyncIterator[bytes]:
        given = cast("bytes", buffer)
        yield given
        buffer[:] = b"two"
        yield given

    assert await cut(reusing()) == [b"onetwo"]


async def test_what_came_before_a_cut_is_sent() -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield b"a" * PIECE_BYTES + b"b"
        raise ConnectionError

    pieces = parts_of(breaking())
    assert [await anext(pieces), await anext(pieces)] == [[b"a" * PIECE_BYTES], [b"b"]]
    with pytest.raises(ConnectionError):
        await anext(pieces)


async def test_what_a_slow_source_gives_is_not_held_back_until_a_piece_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pieces, "WAITING_SECONDS", -1.0)
    assert await cut(given_as(b"a", b"b")) == [b"a", b"b"]
