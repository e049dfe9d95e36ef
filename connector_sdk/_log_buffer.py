"""Take what an author yields at his pace and hand it on in messages, with a sign of life when there is nothing."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

from connector_sdk._bell import Bell
from connector_sdk._iterate import Walk
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
        self._came = Bell()
        self._room = Bell()
        self._is_first_awaited = False
        """Whether the next item is to ring, however little it is."""
        self._filling: asyncio.Task[None] | None = None
        self._taken_at = -math.inf
        self.is_cut = False
        """Whether the messages ended before the source did."""

    def start(self) -> None:
        """Read the log from now on."""
        # A TaskGroup would hide the GeneratorExit of a client that goes away in a group of exceptions.
        self._filling = asyncio.create_task(self._fill())

    async def stop(self) -> None:
        """Let the author end, and read no more."""
        if self._filling:
            self._filling.cancel()
            await asyncio.wait([self._filling])

    def cut(self) -> None:
        """Let the messages end here, although the source goes on."""
        self.is_cut = True
        if self._filling:
            self._filling.cancel()
        self._came.ring()

    async def next_messages(self, patience_seconds: float) -> Sequence[bytes] | None:
        """Give what came; nothing where none came in time, None at the end. Raises what the author raised."""
        if not self._has_some and not self._has_ended:
            self._is_first_awaited = True
            await self._came.wait_for(patience_seconds)
            if not self._has_some and not self._has_ended:
                return ()
        if not self._full and not self._has_ended:
            await self._came.wait_for(self._taken_at + LINGER_SECONDS - time.monotonic())
        if self._has_some:
            return self._take()
        if self._filling is not None and not self.is_cut:
            await self._filling
        return None

    async def _fill(self) -> None:
        take = self._reading.take
        try:
            async with Walk(self._reading.open()) as items:
                async for item in items:
                    self._open_bytes = take(item)
                    if self._open_bytes >= ENOUGH_BYTES:
                        await self._close()
                    elif self._is_first_awaited:
                        self._is_first_awaited = False
                        self._came.ring()
        finally:
            self._came.ring()

    async def _close(self) -> None:
        self._full.append((self._reading.messages(), self._open_bytes))
        self._full_bytes += self._open_bytes
        self._open_bytes = 0
        self._came.ring()
        while self._full_bytes >= MOST_WAITING_BYTES:
            await self._room.wait()

    def _take(self) -> Sequence[bytes]:
        self._taken_at = time.monotonic()
        if not self._full:
            self._open_bytes = 0
            return self._reading.messages()
        messages, size_bytes = self._full.popleft()
        self._full_bytes -= size_bytes
        self._room.ring()
        return messages

    @property
    def _has_some(self) -> bool:
        return bool(self._full or self._open_bytes)

    @property
    def _has_ended(self) -> bool:
        return self.is_cut or (self._filling is not None and self._filling.done())
