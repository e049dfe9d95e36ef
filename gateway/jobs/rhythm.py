"""When the jobs of a connection are looked at: often while they change, seldom while they don't.

A job of which there may be news is looked at soon, by itself or with others of the kind: with a thousand open jobs,
each that starts or ends would otherwise have all of them looked at.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime

START_SECONDS = 2.0
"""Time between two looks while a job starts or changes, where the connector names none."""

STEADY_SECONDS = 30.0
"""Longest time between two looks while nothing changes."""

STEADY_FACTOR = 20
"""The same as a multiple of the shortest time, for connectors that are cheap to ask."""

GROWTH = 1.5
"""How fast the time between two looks grows while nothing changes."""

NEWS_SECONDS = 0.1
"""Shortest time between two looks at jobs with news: those that come meanwhile are one call, and one write."""


class Rhythm:
    """Tell when to look next, and at which jobs."""

    def __init__(self) -> None:
        self._interval = START_SECONDS
        self._due = 0.0
        self._looked_at = 0.0
        self._news: dict[str, datetime] = {}
        self._arrived = asyncio.Event()
        self._clock = asyncio.get_running_loop().time

    def hear(self, job_id: str, now: datetime) -> None:
        """Look at a job soon: something happened that probably changed it."""
        self._news[job_id] = now
        self._arrived.set()

    async def next(self, *, is_idle: bool) -> Mapping[str, datetime]:
        """Wait until the next look, and return the jobs with news that it is for, and since when; none = for all jobs.

        While nothing is there to be looked at (`is_idle`), only news ends the wait.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout_at(None if is_idle else self._due):
                await self._arrived.wait()
                await asyncio.sleep(self._looked_at + NEWS_SECONDS - self._clock())
        is_for_all = not is_idle and self._clock() >= self._due
        news, self._news = self._news, {}
        self._arrived.clear()
        return {} if is_for_all else news

    def looked(self, shortest: float, pace: float, *, has_changed: bool, is_at_all: bool) -> None:
        """Note how a look ended.

        Args:
            shortest: Seconds between two looks while jobs change.
            pace: Seconds between two looks that keep within what the platform allows.
            has_changed: Whether any job did.
            is_at_all: Whether it was a look at all jobs.

        """
        steady = max(min(STEADY_SECONDS, shortest * STEADY_FACTOR), pace)
        shortest = max(shortest, pace)
        before = self._interval if is_at_all else 0.0
        self._interval = shortest if has_changed else min(max(before, shortest) * GROWTH, steady)
        self._looked_at = self._clock()
        due = self._looked_at + self._interval * random.uniform(0.9, 1.1)
        # What has news all the time must not keep the others from being looked at.
        self._due = due if is_at_all else min(self._due, due)
