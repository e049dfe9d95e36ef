"""Take what an author yields at his pace and hand it on in batches, with a sign of life when there is nothing."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from connector_sdk._iterate import walking

ENOUGH_BYTES = 32 * 1024  # per batch
LINGER_SECONDS = 0.025  # how long a first item waits for company
MOST_WAITING_BYTES = 256 * 1024  # read ahead of a slow gateway
LINE_COST_BYTES = 32  # what a line costs besides its text, where it is stored

Item = TypeVar("Item")
Ask = Callable[[], AsyncIterator[Item] | Awaitable[AsyncIterator[Item]]]


class LogBuffer(Generic[Item]):
    """Hold items between the author who writes and the call that sends. A full buffer stops the author."""

    def __init__(self, text_chars: Callable[[Item], int]) -> None:
        """Measure items by the length of their text."""
        self._text_chars = text_chars
        self._full: deque[tuple[list[Item], int]] = deque()
        self._full_bytes = 0
        self._open: list[Item] = []
        """The batch that is being filled."""
        self._open_bytes = 0
        self._arrived = asyncio.Event()
        self._enough = asyncio.Event()
        self._room = asyncio.Event()
        self._filling: asyncio.Task[None] | None = None
        self.is_cut = False
        """Whether the batches ended before the source did."""

    @asynccontextmanager
    async def filled_from(self, ask: Ask[Item]) -> AsyncIterator[None]:
        """Read meanwhile what the author gives when asked."""
        # A TaskGroup would hide the GeneratorExit of a client that goes away in a group of exceptions.
        self._filling = asyncio.create_task(self._fill(ask))
        try:
            yield
        finally:
            self._filling.cancel()
            await asyncio.wait([self._filling])

    async def next_batch(self, patience_seconds: float) -> Sequence[Item] | None:
        """Give the next items; none where none came in time, None at the end. Raises what the source raised."""
        if not await _within(patience_seconds, self._arrived):
            return ()
        await _within(LINGER_SECONDS, self._enough)
        if batch := self._take():
            return batch
        if self._filling is not None and not self.is_cut:
            await self._filling
        return None

    def cut(self) -> None:
        """Let the batches end here, although the source goes on."""
        self.is_cut = True
        if self._filling:
            self._filling.cancel()

    async def _fill(self, ask: Ask[Item]) -> None:
        try:
            async with walking(ask()) as items:
                # Whatever is done for each line is done hundreds of thousands of times a second.
                async for item in items:
                    self._open.append(item)
                    self._open_bytes += self._text_chars(item) + LINE_COST_BYTES
                    if self._open_bytes >= ENOUGH_BYTES:
                        await self._close_batch()
                    elif len(self._open) == 1:
                        self._arrived.set()
        finally:
            self._arrived.set()
            self._enough.set()

    async def _close_batch(self) -> None:
        self._full.append((self._open, self._open_bytes))
        self._full_bytes += self._open_bytes
        self._open, self._open_bytes = [], 0
        self._arrived.set()
        self._enough.set()
        while self._full_bytes >= MOST_WAITING_BYTES:
            self._room.clear()
            await self._room.wait()

    def _take(self) -> list[Item]:
        if self._full:
            batch, size_bytes = self._full.popleft()
            self._full_bytes -= size_bytes
            self._room.set()
        else:
            batch, self._open, self._open_bytes = self._open, [], 0
        if self._filling is not None and not self._filling.done():
            self._rearm()
        return batch

    def _rearm(self) -> None:
        if not self._full:
            self._enough.clear()
            if not self._open:
                self._arrived.clear()


async def _within(seconds: float, event: asyncio.Event) -> bool:
    if event.is_set():
        return True
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
