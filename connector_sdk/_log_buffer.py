"""Take lines from an author at his pace and hand them on in batches, with a sign of life when there are none."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from connector_sdk._log_lines import LogEntry

MOST_LINES = 64  # per message
ENOUGH_BYTES = 32 * 1024  # per message
MOST_BYTES = 1024 * 1024  # per message, where one record has that much
LINGER_SECONDS = 0.025  # how long a first line waits for company
MOST_WAITING_BYTES = 256 * 1024  # read ahead of a slow gateway
LINE_COST_BYTES = 64  # what a line costs besides its text


class LogBuffer:
    """Hold the lines between the author who writes and the call that sends. A full buffer stops the author."""

    def __init__(self, heartbeat_seconds: float) -> None:
        """Give an empty batch after `heartbeat_seconds` without a line."""
        self._heartbeat_seconds = heartbeat_seconds
        self._entries: deque[LogEntry] = deque()
        self._waiting_bytes = 0
        self._arrived = asyncio.Event()
        self._enough = asyncio.Event()
        self._room = asyncio.Event()
        self._filling: asyncio.Task[None] | None = None
        self.is_cut = False
        """Whether the batches ended before the source did."""

    @asynccontextmanager
    async def filled_from(self, source: AsyncGenerator[LogEntry, None]) -> AsyncIterator[None]:
        """Read `source` meanwhile."""
        # A TaskGroup would hide the GeneratorExit of a client that goes away in a group of exceptions.
        self._filling = asyncio.create_task(self._fill(source))
        try:
            yield
        finally:
            self._filling.cancel()
            await asyncio.wait([self._filling])

    async def next_batch(self) -> list[LogEntry] | None:
        """Give the next lines; an empty list is a sign of life, None the end. Raises what the source raised."""
        if not await _within(self._heartbeat_seconds, self._arrived):
            return []
        await _within(LINGER_SECONDS, self._enough)
        batch = self._take()
        if batch or self._filling is None:
            return batch
        if not self.is_cut:
            await self._filling
        return None

    def cut(self) -> None:
        """Let the batches end here, although the source goes on."""
        self.is_cut = True
        if self._filling:
            self._filling.cancel()

    async def _fill(self, source: AsyncGenerator[LogEntry, None]) -> None:
        try:
            async with aclosing(source) as entries:
                async for entry in entries:
                    await self._put(entry)
        finally:
            self._arrived.set()
            self._enough.set()

    async def _put(self, entry: LogEntry) -> None:
        self._entries.append(entry)
        self._waiting_bytes += _cost(entry)
        self._arrived.set()
        if len(self._entries) >= MOST_LINES or self._waiting_bytes >= ENOUGH_BYTES:
            self._enough.set()
        while self._waiting_bytes >= MOST_WAITING_BYTES:
            self._room.clear()
            await self._room.wait()

    def _take(self) -> list[LogEntry]:
        batch: list[LogEntry] = []
        size_bytes = 0
        while self._entries:
            is_torn = bool(batch) and not batch[-1].is_whole
            if size_bytes >= (MOST_BYTES if is_torn else ENOUGH_BYTES) or (len(batch) >= MOST_LINES and not is_torn):
                break
            batch.append(self._entries.popleft())
            size_bytes += _cost(batch[-1])
        self._waiting_bytes -= size_bytes
        self._room.set()
        self._rearm()
        return batch

    def _rearm(self) -> None:
        has_ended = self._filling is not None and self._filling.done()
        if not self._entries and not has_ended:
            self._arrived.clear()
        if len(self._entries) < MOST_LINES and self._waiting_bytes < ENOUGH_BYTES and not has_ended:
            self._enough.clear()


def _cost(entry: LogEntry) -> int:
    return len(entry.line.text) + LINE_COST_BYTES


async def _within(seconds: float, event: asyncio.Event) -> bool:
    if event.is_set():
        return True
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
