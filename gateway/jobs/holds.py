"""When something that may cost money was held for a job. Pure: from one record of the job to the next."""

from __future__ import annotations

from datetime import datetime, timedelta

from gateway.jobs.model import Hold, Job, JobState, Observation, ResourceState
from gateway.replacing import replace

MOST_HOLDS = 200
"""Stretches that are kept apart; the last one goes on beyond that, so that a platform that flickers costs no memory."""

_PAID = frozenset({ResourceState.HELD, ResourceState.RELEASE_REQUESTED})
"""A machine that is being released is still charged for."""


def held(job: Job, seen: Observation, since: datetime, now: datetime) -> Job:
    """Open or close the job's present stretch, after `seen` was applied to it; the look before it was at `since`.

    The platform's own times count where they are possible: a look comes late, after a crash by hours. They are kept
    within the job's life here, and no stretch ends before a look that still saw it, because a clock that is wrong must
    neither make money nor lose it.
    """
    is_open = bool(job.holds) and job.holds[-1].end is None
    if job.state.is_terminal:
        return _ended(job, seen, since, now, is_open=is_open)
    if _is_paid(job) and not is_open:
        start = within(job.created_at, seen.started_at, now) if not job.holds else now
        return _opened(job, start)
    if is_open and _is_let_go(job):
        return _closed(job, within(max(job.holds[-1].start, since), seen.ended_at, now))
    return job


def closed(job: Job, now: datetime) -> Job:
    """Close the present stretch of a job whose end the gateway itself decides."""
    return _closed(job, now) if job.holds and job.holds[-1].end is None else job


def _is_paid(job: Job) -> bool:
    # Of a training that runs, it is certain that something is held, whether or not the platform can tell.
    is_running = job.resource_state is ResourceState.UNKNOWN and job.state is JobState.RUNNING
    return is_running or job.resource_state in _PAID


def _ended(job: Job, seen: Observation, since: datetime, now: datetime, *, is_open: bool) -> Job:
    if is_open:
        return _closed(job, within(max(job.holds[-1].start, since), seen.ended_at, now))
    if not job.holds and seen.started_at is not None:
        # It began and ended between two looks. How long it took is right by a clock that is wrong, too.
        length = max((seen.ended_at or now) - seen.started_at, timedelta(0))
        start = within(job.created_at, seen.started_at, now - length)
        return _closed(_opened(job, start), within(start, start + length, now))
    return job


def _is_let_go(job: Job) -> bool:
    # A platform that cannot tell may well charge on; of a pause that says nothing, people expect that it does not.
    is_unknown_pause = job.resource_state is ResourceState.UNKNOWN and job.state is JobState.PAUSED
    return is_unknown_pause or job.resource_state in (ResourceState.NONE, ResourceState.RELEASED)


def _opened(job: Job, start: datetime) -> Job:
    if len(job.holds) >= MOST_HOLDS:
        return replace(job, holds=(*job.holds[:-1], replace(job.holds[-1], end=None)))
    return replace(job, holds=(*job.holds, Hold(start=start)))


def _closed(job: Job, end: datetime) -> Job:
    last = job.holds[-1]
    return replace(job, holds=(*job.holds[:-1], replace(last, end=max(last.start, end))))


def within(earliest: datetime, told: datetime | None, latest: datetime) -> datetime:
    """Return a time that a platform told, kept within what is possible; `latest` where it told none."""
    return min(max(told or latest, earliest), max(earliest, latest))
