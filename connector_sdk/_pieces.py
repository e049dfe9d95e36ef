"""Cut bytes into pieces of the size that travels best."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

from connector_sdk._iterate import walking

PIECE_BYTES = 256 * 1024  # bigger ones gain little, and all must stay below 1 MiB


async def pieces_of(source: bytes | bytearray | memoryview | AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield what `source` holds or yields, in pieces of at most 256 KiB; small ones are put together."""
    if isinstance(source, bytes | bytearray | memoryview):
        whole = memoryview(source)
        for start in range(0, len(whole), PIECE_BYTES):
            yield bytes(whole[start : start + PIECE_BYTES])
        return
    waiting = bytearray()
    async with walking(source) as given:
        async for data in given:
            if len(data) == PIECE_BYTES and not waiting:
                yield data
                continue
            view = memoryview(data)
            for start in range(0, len(view), PIECE_BYTES):
                waiting += view[start : start + PIECE_BYTES]
                if len(waiting) >= PIECE_BYTES:
                    yield bytes(waiting[:PIECE_BYTES])
                    del waiting[:PIECE_BYTES]
    if waiting:
        yield bytes(waiting)


async def read_pieces(descriptor: int, offset: int) -> AsyncIterator[bytes]:
    """Yield an open file from `offset` on; its position is not used, so that many can read at a time."""
    while piece := await asyncio.to_thread(os.pread, descriptor, PIECE_BYTES, offset):
        offset += len(piece)
        yield piece
