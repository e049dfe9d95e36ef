"""Take what an author yields at his pace and hand it on in messages, with a sign of life when there is nothing."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from connector_sdk._iterate import walking
from connector_sdk._log_lines import ENOUGH_BYTES, Reading

LINGER_SECONDS = 0.025  # between two messages that are not full; a line that comes after a silence does not wait
MOST_WAITING_BYTES = 256 * 1024  # read ahead of a slow gateway

Item = TypeVar("Item")


class LogBuffer(Generic[Item]):
    """Hold messages between the author who writes and the call that sends. A full buffer stops the author."""

    def __init__(self, reading: Reading[Item]) -> None:
        """Make messages in the way of a reading."""
        self._reading = reading
        self._full: deque[tuple[Sequence[bytes], int]] = deque()
        self._full_bytes = 0
        self._open_bytes = 0
        """What the reading has that is not a full message yet."""
        self._arrived = asyncio.Event()
        self._enough = asyncio.Event()
        self._room = asyncio.Event()
        self._filling: asyncio.Task[None] | None = None
        self._taken_at = -math.inf
        self.is_cut = False
        """Whether the messages ended before the source did."""

    @asynccontextmanager
    async def filled(self) -> AsyncIterator[None]:
        """Read the log meanwhile."""
        # A TaskGroup would hide the GeneratorExit of a client that goes away in a group of exceptions.
        self._filling = asyncio.create_task(self._fill())
        try:
            yield
        finally:
            self._filling.cancel()
            await asyncio.wait([self._filling])

    async def next_messages(self, patience_seconds: float) -> Sequence[bytes] | None:
        """Give what came; nothing where none came in time, None at the end. Raises what the author raised."""
        if not await _within(patience_seconds, self._arrived):
            return ()
        await _within(self._taken_at + LINGER_SECONDS - time.monotonic(), self._enough)
        if self._full or self._open_bytes or not self._has_ended:
            return self._take()
        if self._filling is not None and not self.is_cut:
            await self._filling
        return None

    def cut(self) -> None:
        """Let the messages end here, although the source goes on."""
        self.is_cut = True
        if self._filling:
            self._filling.cancel()

    async def _fill(self) -> None:
        take = self._reading.take
        try:
            async with walking(self._reading.open()) as items:
                async for item in items:
                    self._open_bytes = take(item)
                    if self._open_bytes >= ENOUGH_BYTES:
                        await self._close()
                    elif not self._arrived.is_set():
                        self._arrived.set()
        finally:
            self._arrived.set()
            self._enough.set()

    async def _close(self) -> None:
        self._full.append((self._reading.messages(), self._open_bytes))
        self._full_bytes += self._open_bytes
        self._open_bytes = 0
        self._arrived.set()
        self._enough.set()
        while self._full_bytes >= MOST_WAITING_BYTES:
            self._room.clear()
            await self._room.wait()

    def _take(self) -> Sequence[bytes]:
        if self._full:
            messages, size_bytes = self._full.popleft()
            self._full_bytes -= size_bytes
            self._room.set()
        else:
            messages, self._open_bytes = self._reading.messages(), 0
        self._taken_at = time.monotonic()
        if not self._full and not self._has_ended:
            self._enough.clear()
            if not self._open_bytes:
                self._arrived.clear()
        return messages

    @property
    def _has_ended(self) -> bool:
        return self._filling is not None and self._filling.done()


async def _within(seconds: float, event: asyncio.Event) -> bool:
    if event.is_set() or seconds <= 0:
        return event.is_set()
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
