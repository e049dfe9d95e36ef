"""The jobs of a connection that wait for their turn, because it runs only so many at a time: first come, first served.

Who waits and who runs follows from the ledger alone, so that a restart changes neither the order nor the number.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from gateway.jobs.ledger import Ledger
from gateway.jobs.model import Job, JobState
from gateway.jobs.states import Step


@dataclass(frozen=True, slots=True)
class _Queue:
    published: int
    """Point of the ledger's history that this was true at."""
    places: dict[str, int]
    """How many jobs are before each that waits."""
    running: int


class Line:
    """Tell who has a turn."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._queues: dict[str, _Queue] = {}

    def has_turn(self, job: Job, most: int) -> bool:
        """Whether a job may be submitted where at most so many may run; 0 = any number."""
        if not most or not job.is_waiting_here:
            return True
        queue = self._queue(job.connection_id)
        return queue.places.get(job.id, 0) < most - queue.running

    def shown(self, job: Job) -> Job:
        """Return a job with its place in the line, where it waits in one.

        The place is not stored: with a thousand jobs in line, each that ends would change them all.
        """
        if job.state is not JobState.QUEUED or not job.is_waiting_here:
            return job
        return replace(job, message=_words(self._queue(job.connection_id).places.get(job.id, 0)))

    def _queue(self, connection_id: str) -> _Queue:
        queue = self._queues.get(connection_id)
        if queue is None or queue.published != self._ledger.published:
            jobs = self._ledger.open_jobs(connection_id)
            waiting = _in_line(jobs)
            places = {job.id: place for place, job in enumerate(waiting)}
            running = sum(1 for job in jobs if not (job.is_waiting_here or job.is_let_go))
            queue = self._queues[connection_id] = _Queue(self._ledger.published, places, running)
        return queue


def hold(job: Job) -> Step:
    """Show that a job is held back until it is its turn."""
    if job.state is not JobState.SUBMITTING:
        return Step(job)
    message = "waits for its turn: its connection runs no more jobs at a time"
    return Step(replace(job, state=JobState.QUEUED, message=message), "held", message)


def _in_line(jobs: Iterable[Job]) -> list[Job]:
    waiting = [job for job in jobs if job.is_waiting_here and job.state is not JobState.CANCELLING]
    return sorted(waiting, key=lambda job: (job.created_at, job.id))


def _words(before: int) -> str:
    if not before:
        return "waits for its turn: it is the next"
    return f"waits for its turn: {before} {'job is' if before == 1 else 'jobs are'} before it"
