"""Cut bytes into pieces of the size that travels best."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from connector_sdk._iterate import Walk

PIECE_BYTES = 512 * 1024  # bigger ones gain nothing, and all must stay below 1 MiB
MOST_PARTS = 4096  # of one piece: tiny ones take more memory than the piece that they make
WAITING_SECONDS = 1.0  # what a slow source gives is not held back for longer, once it gives more

Source = bytes | bytearray | memoryview | AsyncIterator[bytes]


async def parts_of(source: Source) -> AsyncGenerator[list[bytes], None]:
    """Yield what `source` holds or yields, in lists that are a piece each: at most 512 KiB, small ones put together."""
    waiting: list[bytes] = []
    size, since = 0, 0.0
    try:
        async with aclosing(_given(source)) as given:
            async for data in given:
                start = 0
                while start < len(data):
                    part = data[start : start + PIECE_BYTES - size]
                    since = since if waiting else time.monotonic()
                    waiting.append(part)
                    size, start = size + len(part), start + len(part)
                    is_full = size == PIECE_BYTES or len(waiting) == MOST_PARTS
                    if is_full or time.monotonic() - since > WAITING_SECONDS:
                        yield waiting
                        waiting, size = [], 0
    except Exception:
        # What came before a cut need not come again.
        if waiting:
            yield waiting
        raise
    if waiting:
        yield waiting


async def pieces_of(source: Source) -> AsyncIterator[bytes]:
    """Yield what `source` holds or yields, in pieces of at most 512 KiB; small ones are put together."""
    async for parts in parts_of(source):
        yield b"".join(parts)


async def read_pieces(descriptor: int, offset: int) -> AsyncIterator[bytes]:
    """Yield an open file from `offset` on; its position is not used, so that many can read at a time."""
    while piece := await asyncio.to_thread(os.pread, descriptor, PIECE_BYTES, offset):
        offset += len(piece)
        yield piece


async def _given(source: Source) -> AsyncGenerator[bytes, None]:
    if isinstance(source, bytes | bytearray | memoryview):
        yield bytes(source)
        return
    async with Walk(source) as given:
        async for data in given:
            # An author may use a buffer again for what comes next.
            yield bytes(data)
