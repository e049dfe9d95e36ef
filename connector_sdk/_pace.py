"""Make no more requests than a platform allows."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

MINUTE_SECONDS = 60.0


class Pace:
    """Let requests through: so many at a time, so many within a minute, and none while the platform wants none."""

    def __init__(
        self,
        *,
        requests_per_minute: int = 0,
        concurrent_requests: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Keep to the limits; 0 requests per minute = not limited."""
        self._per_minute = requests_per_minute
        self._places = asyncio.Semaphore(concurrent_requests)
        self._made: deque[float] = deque()
        self._held_until = 0.0
        self._clock = clock
        self._sleep = sleep

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait until one more request may be under way; it is until the block is left."""
        async with self._places:
            yield

    async def admit(self) -> None:
        """Wait until a request may be made, and count it."""
        while (seconds := self._seconds_left()) > 0:
            await self._sleep(seconds)
        if self._per_minute:
            self._made.append(self._clock())

    def hold(self, seconds: float) -> None:
        """Let nothing through for so long."""
        self._held_until = max(self._held_until, self._clock() + seconds)

    def _seconds_left(self) -> float:
        now = self._clock()
        while self._made and now - self._made[0] >= MINUTE_SECONDS:
            self._made.popleft()
        is_full = self._per_minute and len(self._made) >= self._per_minute
        until_room = self._made[0] + MINUTE_SECONDS - now if is_full else 0.0
        return max(self._held_until - now, until_room, 0.0)
