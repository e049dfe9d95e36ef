"""When people must be told that a job goes on costing money although nobody wants it."""

from __future__ import annotations

from datetime import datetime, timedelta

from gateway.catalog.estimate import micros_per_hour
from gateway.jobs.model import Job, JobState, ResourceState
from gateway.jobs.states import Step
from gateway.replacing import replace

ALARM_AFTER = timedelta(minutes=2)
"""How long a platform may take to end a job before people are told: most take seconds."""


def overdue(job: Job, asked_at: datetime | None, now: datetime) -> str:
    """Say that the end of a job is overdue, and what that costs; empty = it is not."""
    if job.state is not JobState.CANCELLING or asked_at is None or now - asked_at < ALARM_AFTER:
        return ""
    minutes = int(ALARM_AFTER.total_seconds() // 60)
    return (
        f"the platform was asked to end the job and has not confirmed it for more than {minutes} min; {_money(job)}; "
        f"it is asked again until it does; to end it by hand, look there for {job.platform_job_id}"
    )


def still_held(job: Job) -> str:
    """Say that a job has ended and its machine is not released, and what that costs; empty = it is."""
    if not job.state.is_terminal or job.resource_state is not ResourceState.HELD:
        return ""
    return f"the platform says that it still holds a machine for it; {_money(job)}; end it there: {job.platform_job_id}"


def raised(job: Job, words: str) -> Step:
    """Show the alarm in the job, unless it has ended meanwhile; the same alarm is noted once."""
    if job.state is not JobState.CANCELLING or job.message == words:
        return Step(job)
    return Step(replace(job, message=words), "cancel_overdue", words)


def _money(job: Job) -> str:
    hour = None if job.price is None else micros_per_hour(job.price)
    if job.price is not None and job.price.not_priced:
        return "nobody charges for it"
    if job.price is None or hour is None:
        return "what it costs meanwhile is not known"
    return f"it may go on costing {hour / 1e6:.2f} {job.price.currency} per hour"
