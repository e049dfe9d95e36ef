"""Time that tests own."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
SETTLING_TURNS = 50
"""Turns of the loop in which what is only in memory comes to rest."""


class FakeClock:
    """A clock that moves only when it is told to."""

    def __init__(self, now: datetime = NOON) -> None:
        self._now = now
        self._monotonic = 0.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds


class LoopTime:
    """The running loop's time, which goes on by itself and can be put forward: timers are due then, and nothing else.

    For what waits by `asyncio.timeout`, on machines that may stand still for longer than any short time-out.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def now(self) -> float:
        """Return the loop's time, in seconds."""
        return self._loop.time()

    async def advance(self, seconds: float) -> None:
        """Put the time forward, once everything that can go on without a timer has gone on."""
        for _ in range(SETTLING_TURNS):
            await asyncio.sleep(0)
        was = self._loop.time
        self._loop.time = lambda: was() + seconds  # type: ignore[method-assign]
