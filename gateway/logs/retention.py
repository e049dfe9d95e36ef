"""Deletes what is too old of all logs, and the oldest of them where they are too large together.

Both is one decision: a moment before which whatever was last written to is deleted, segment by segment.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import structlog

from gateway.clock import Clock
from gateway.errors import StorageFull
from gateway.logs.segments import bases_in, disk_bytes, written_at
from gateway.logs.store import LogStore

FIRST_SECONDS = 60.0
"""Time from the start to the first look, which a start need not wait for."""

INTERVAL_SECONDS = 3600.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """A segment on disk."""

    job_id: str
    written_at: float
    """When it was last written to, in seconds since 1970."""
    size_bytes: int


class Retention:
    """Keep all logs within an age and a size."""

    def __init__(self, logs: LogStore, clock: Clock, *, max_bytes: int, max_age: timedelta) -> None:
        """Keep at most `max_bytes`, and nothing older than `max_age`; 0 = without a limit."""
        self._logs = logs
        self._clock = clock
        self._max_bytes = max_bytes
        self._max_age = max_age

    async def run(self) -> None:
        """Look at all logs every now and then."""
        await asyncio.sleep(FIRST_SECONDS)
        while True:
            await self.sweep()
            await asyncio.sleep(INTERVAL_SECONDS)

    async def sweep(self) -> None:
        """Look at all logs once."""
        kept = await asyncio.to_thread(lambda: list(_survey(self._logs.folder)))
        moment = self._moment(kept)
        for job_id in sorted({segment.job_id for segment in kept if segment.written_at < moment}):
            with suppress(StorageFull), self._logs.open(job_id) as job_log:
                job_log.segments.drop_older(moment)
                log.info("old log lines deleted", job_id=job_id, kept_after=job_log.segments.kept_after)
            # One log may take milliseconds; everybody else has a turn in between.
            await asyncio.sleep(0)

    def _moment(self, kept: Sequence[Kept]) -> float:
        moment = (self._clock.now() - self._max_age).timestamp() if self._max_age else 0.0
        excess = sum(segment.size_bytes for segment in kept) - self._max_bytes if self._max_bytes else 0
        for segment in sorted(kept, key=lambda segment: segment.written_at):
            if excess <= 0:
                break
            excess -= segment.size_bytes
            moment = max(moment, math.nextafter(segment.written_at, math.inf))
        return moment


def _survey(folder: Path) -> Iterator[Kept]:
    """List the segments that have lines."""
    for path in folder.iterdir() if folder.is_dir() else ():
        # Whatever vanishes meanwhile is not kept.
        with suppress(OSError):
            for base in bases_in(path):
                if size := disk_bytes(path, base):
                    yield Kept(path.name, written_at(path, base), size)
