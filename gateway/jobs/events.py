"""The events of open jobs: numbered as they come, and the newest of each kind remembered."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gateway.clock import Clock
from gateway.jobs.model import Job, JobEvent
from gateway.jobs.states import Step
from gateway.store.jobs import JobStore, Record


class Events:
    """Make events, and tell the newest without reading them."""

    def __init__(self, store: JobStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._seqs: dict[str, int] = {}
        self._last_words: dict[str, tuple[str, str]] = {}
        """Kind and message of each job's newest event: a platform may say the same wrong thing for days."""
        self._newest: dict[str, dict[str, JobEvent]] = {}
        """The newest of each kind, of open jobs that this gateway took on itself: it knows all that they had."""

    def first(self, steps: Sequence[Step]) -> list[JobEvent]:
        """Make the events of a new job."""
        return [self._made(step.job, seq, step) for seq, step in enumerate(steps, 1)]

    async def next(self, job: Job, step: Step) -> list[JobEvent]:
        """Make the event of a step that led to a job, if it has any."""
        if not step.kind:
            return []
        if job.id not in self._seqs:
            self._seqs[job.id] = await self._store.last_event_seq(job.id)
        self._seqs[job.id] += 1
        return [self._made(job, self._seqs[job.id], step)]

    def keep(self, record: Record) -> None:
        """Remember what was stored of an open job."""
        job_id = record.change.job.id
        if record.is_new:
            self._newest[job_id] = {}
            self._seqs[job_id] = len(record.events)
        for event in record.events:
            self._last_words[job_id] = event.kind, event.message
            if job_id in self._newest:
                self._newest[job_id][event.kind] = event

    def doubt(self, job_id: str) -> None:
        """Ask the database from now on: it may have an event that is not known here."""
        self._newest.pop(job_id, None)

    def forget(self, job_id: str) -> None:
        """Forget a job that has ended."""
        for of_jobs in (self._seqs, self._last_words, self._newest):
            of_jobs.pop(job_id, None)

    def is_last(self, job_id: str, step: Step) -> bool:
        """Whether a step tells nothing that the newest event of a job did not."""
        return not step.kind or self._last_words.get(job_id) == (step.kind, step.message)

    async def last(self, job_id: str, kinds: Collection[str]) -> JobEvent | None:
        """Return a job's newest event of these kinds."""
        if (known := self._newest.get(job_id)) is not None:
            return max((known[kind] for kind in kinds if kind in known), key=lambda event: event.seq, default=None)
        return await self._store.last_event(job_id, kinds)

    def _made(self, job: Job, seq: int, step: Step) -> JobEvent:
        now = self._clock.now()
        return JobEvent(job_id=job.id, seq=seq, time=now, kind=step.kind, state=job.state, message=step.message)
