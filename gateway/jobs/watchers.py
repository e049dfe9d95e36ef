"""Clients that are told of changes, from any point of history on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress

from gateway.jobs.model import JobFilter
from gateway.store.jobs import Change

WATCH_BEAT_SECONDS = 15.0
"""Longest silence on a watch."""


class Watcher:
    """Collects the changes that one client has not taken yet: per job the latest, so that memory is bounded."""

    def __init__(self, job_filter: JobFilter, *, hears_metrics: bool = False) -> None:
        self.filter = job_filter
        self._hears_metrics = hears_metrics
        self._pending: dict[str, Change] = {}
        self._arrived = asyncio.Event()

    def offer(self, change: Change) -> None:
        """Add a change if the client wants it."""
        if self.filter.matches(change.job):
            self._pending.pop(change.job.id, None)
            self._pending[change.job.id] = change
            self._arrived.set()

    def hear(self, job_id: str) -> None:
        """Wake the client, without a change, if it waits for metrics of this job."""
        if self._hears_metrics and job_id == self.filter.job_id:
            self._arrived.set()

    async def take(self) -> list[Change]:
        """Wait for changes, at most a beat; none = silence, or metrics."""
        with suppress(TimeoutError):
            async with asyncio.timeout(WATCH_BEAT_SECONDS):
                await self._arrived.wait()
        return self.collect()

    def collect(self) -> list[Change]:
        """Return what has come by now."""
        self._arrived.clear()
        changes, self._pending = list(self._pending.values()), {}
        return changes


class Watchers:
    """All who watch at present."""

    def __init__(self) -> None:
        self._present: set[Watcher] = set()
        self.published = 0
        """The last point of history that they were told of."""

    def offer(self, change: Change) -> None:
        """Tell of a change."""
        self.published = change.number
        for watcher in self._present:
            watcher.offer(change)

    def hear(self, job_id: str) -> None:
        """Tell of new metrics of a job."""
        for watcher in self._present:
            watcher.hear(job_id)

    async def watch(
        self, job_filter: JobFilter, history: AsyncIterator[list[Change]], *, hears_metrics: bool
    ) -> AsyncIterator[list[Change]]:
        """Yield what there was before, then each change; empty = silence, or metrics."""
        with self._joined(Watcher(job_filter, hears_metrics=hears_metrics)) as watcher:
            is_first, told = True, 0
            async for changes in history:
                is_first, told = False, max(told, *(change.number for change in changes))
                yield changes
            if is_first:
                # No change that came meanwhile may be passed over.
                yield watcher.collect()
            while True:
                # What was told while history was read may be older than what was read.
                yield [change for change in await watcher.take() if change.number > told]

    @contextmanager
    def _joined(self, watcher: Watcher) -> Iterator[Watcher]:
        self._present.add(watcher)
        try:
            yield watcher
        finally:
            self._present.discard(watcher)
