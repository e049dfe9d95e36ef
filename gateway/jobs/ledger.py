"""The one place where jobs change: each change is stored first and told to watchers then."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import fields
from operator import attrgetter

from gateway.broadcast import Broadcast
from gateway.clock import Clock
from gateway.errors import NotFound
from gateway.jobs.commits import Commits
from gateway.jobs.ended import EndedJobs
from gateway.jobs.events import Events
from gateway.jobs.model import Job, JobEvent, JobFilter, Metric
from gateway.jobs.request_ids import RequestIds
from gateway.jobs.states import Step
from gateway.jobs.watchers import Watchers
from gateway.replacing import replace
from gateway.store.jobs import Change, JobStore, Record

HISTORY_JOBS = 500
"""Jobs that a watcher's history is read by: some megabytes at most, if their configurations are large."""

_SUBSTANCE = attrgetter(*(field.name for field in fields(Job) if field.name != "observed_at"))
"""All of a job but when it was looked at."""


class Ledger:
    """Hold the jobs that have not ended in memory, with some that have, and all of them in the database."""

    def __init__(self, store: JobStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._open: dict[str, Job] = {}
        self._ended = EndedJobs()
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._commits = Commits(store, self._publish)
        self._request_ids = RequestIds(store.by_request_ids)
        self._events = Events(store, clock)
        self._watchers = Watchers()
        self.identity = ""
        """What tells this ledger's jobs from another gateway's; known once it is loaded."""
        self.turns = Broadcast()
        """Told whenever a job ended at its platform, or something else is wanted of one: others may have their turn."""

    @property
    def published(self) -> int:
        """The last point of history that watchers were told of."""
        return self._watchers.published

    async def load(self) -> list[Job]:
        """Read the jobs that have not ended, or whose log has not; the first call of every start."""
        self.identity = await self._store.identity()
        self._commits.number = self._watchers.published = await self._store.last_change()
        left = await self._store.open_jobs()
        self._open = {job.id: job for job in left if not job.state.is_terminal}
        return left

    def open_jobs(self, connection_id: str | None = None) -> list[Job]:
        """Return the jobs that have not ended."""
        return [job for job in self._open.values() if connection_id in (None, job.connection_id)]

    def is_open(self, job_id: str) -> bool:
        """Whether there is a job of this id that has not ended."""
        return job_id in self._open

    async def get(self, job_id: str) -> Job:
        """Return one job.

        Raises:
            NotFound: There is none of this id.

        """
        job = self._known(job_id)
        if job is None:
            age = self._ended.age
            job = await self._store.get(job_id)
            if job is None:
                raise NotFound("job", job_id)
            self._ended.offer([job], age)
        return job

    async def get_many(self, job_ids: Collection[str]) -> dict[str, Job]:
        """Return those of some jobs that there are."""
        found = {job_id: job for job_id in job_ids if (job := self._known(job_id))}
        if others := list({job_id for job_id in job_ids if job_id not in found}):
            age = self._ended.age
            read = await self._store.get_many(others)
            self._ended.offer(read, age)
            found |= {job.id: job for job in read}
        return found

    async def add(self, job: Job, begun: Step | None = None) -> Job:
        """Store a new job, with a first step where that is made at once, and return it as it then is."""
        steps = [Step(job, "submitted", "the job was accepted"), *([begun] if begun else [])]
        await self._commits.keep(steps[-1].job, *self._events.first(steps), is_new=True)
        return steps[-1].job

    async def adopt(self, job_id: str) -> bool:
        """Take up a job whose `add` failed, if the database took it after all."""
        async with self._locks[job_id]:
            job = await self._store.settled(job_id)
            if job is not None:
                await self._commits.keep(job)
            return job is not None

    async def change(self, job_id: str, apply: Callable[[Job], Step]) -> Job:
        """Change a job by a pure function of what it is; nothing else changes it meanwhile.

        Returns:
            The job as it then is.

        """
        async with self._locks[job_id]:
            if job_id not in self._open:
                # Only the database knows whether an earlier change arrived whose answer was lost.
                self._ended.forget(job_id)
            old = await self.get(job_id)
            step = apply(old)
            if not self._is_news(old, step):
                return self._refreshed(step.job)
            job = replace(step.job, revision=old.revision + 1, updated_at=self._clock.now())
            events = await self._events.next(job, step)
            try:
                await self._commits.keep(job, *events)
            except BaseException:
                # The database may have the event all the same.
                self._events.doubt(job_id)
                raise
            return job

    def refresh(self, job_id: str, apply: Callable[[Job], Step]) -> bool:
        """Change an open job as `change` does if nothing of it is news, and tell whether that was so."""
        old, lock = self._open.get(job_id), self._locks.get(job_id)
        if old is None or (lock and lock.locked()) or self._is_news(old, step := apply(old)):
            return False
        self._refreshed(step.job)
        return True

    async def close_log(self, job_id: str, last_seq: int) -> None:
        """Note that an ended job's log is at its end; that is no change of the job, and nobody is told."""
        try:
            await self._store.close_log(job_id, last_seq)
        finally:
            # Whoever read it meanwhile read what it was.
            self._ended.forget(job_id)

    async def by_request_id(self, request_id: str) -> Job | None:
        """Return the job that was submitted under a request id."""
        return await self._request_ids.find(request_id)

    async def by_token(self, submission_token: str) -> Job | None:
        """Return the job that was submitted under a token."""
        return await self._store.by_token(submission_token)

    async def used_connections(self) -> list[str]:
        """Return the connections that ever had a job."""
        return await self._store.used_connections()

    async def page(self, job_filter: JobFilter, after: str, size: int, *, ascending: bool) -> list[Job]:
        """Return up to `size` jobs behind the one with id `after`."""
        age = self._ended.age
        found = await self._store.page(job_filter, after, size, ascending=ascending, known=self._known)
        self._ended.offer(found, age)
        return found

    async def last_event(self, job_id: str, kinds: Collection[str]) -> JobEvent | None:
        """Return a job's newest event of these kinds."""
        return await self._events.last(job_id, kinds)

    async def events(self, job_id: str, after_seq: int, limit: int) -> list[JobEvent]:
        """Return events of a job, oldest first."""
        return await self._store.events(job_id, after_seq, limit)

    async def add_metrics(self, job_id: str, points: Sequence[Metric]) -> None:
        """Store metric points."""
        await self._store.add_metrics(job_id, points)
        self._watchers.hear(job_id)

    async def metrics_behind(
        self, job_id: str, names: Sequence[str], place: int, limit: int
    ) -> tuple[list[Metric], int]:
        """Return points in the order in which they came, from behind a place on (0 = the first), and the next place."""
        return await self._store.metrics_behind(job_id, names, place, limit)

    async def metric_counts(self, job_id: str, names: Sequence[str], from_step: int) -> dict[str, int]:
        """Return how many points there are of each name."""
        return await self._store.metric_counts(job_id, names, from_step)

    def metric_stream(self, job_id: str, names: Sequence[str], from_step: int) -> AsyncIterator[Metric]:
        """Yield metric points, by name, step and attempt, without holding all of them in memory."""
        return self._store.metric_stream(job_id, names, from_step)

    def watch(self, job_filter: JobFilter, since: int, *, hears_metrics: bool = False) -> AsyncIterator[list[Change]]:
        """Yield what changed behind a point of history (0 = all open jobs first), then each change; empty = silence.

        With `hears_metrics`, new metrics of the one job that is watched are told by an empty list, too.
        """
        return self._watchers.watch(job_filter, self._history(job_filter, since), hears_metrics=hears_metrics)

    async def _history(self, job_filter: JobFilter, since: int) -> AsyncIterator[list[Change]]:
        """Yield what is known already, a part at a time: after a long absence it may be all jobs there ever were."""
        # A point that is not reached yet is one of another history: the ledger was put back to an older state.
        if 0 < since <= self._watchers.published:
            while changes := await self._store.changed_since(since, job_filter, HISTORY_JOBS):
                yield changes
                since = changes[-1].number
        elif job_filter.job_id:
            yield [Change(await self.get(job_filter.job_id), self._watchers.published)]
        elif found := [Change(job, self._watchers.published) for job in self._open.values() if job_filter.matches(job)]:
            yield found

    def _known(self, job_id: str, revision: int | None = None) -> Job | None:
        """Return a job out of memory, of any revision or of this one."""
        job = self._open.get(job_id) or self._ended.get(job_id)
        return job if job and revision in (None, job.revision) else None

    def _is_news(self, old: Job, step: Step) -> bool:
        """Whether a change is worth a write, and telling: a look that found nothing new is not."""
        return not self._events.is_last(old.id, step) or _SUBSTANCE(step.job) != _SUBSTANCE(old)

    def _refreshed(self, job: Job) -> Job:
        if job.id in self._open:
            self._open[job.id] = job
        return job

    def _publish(self, record: Record) -> None:
        job = record.change.job
        if job.state.is_terminal:
            self._open.pop(job.id, None)
            self._locks.pop(job.id, None)
            self._events.forget(job.id)
            self._ended.forget(job.id)
        else:
            self._open[job.id] = job
            self._events.keep(record)
        if job.state.is_terminal or job.is_let_go:
            self.turns.notify()
        self._watchers.offer(record.change)
