"""What a job has used, and whether that is more than it may."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.catalog.estimate import estimate_micros
from gateway.jobs.model import Job, JobReason


@dataclass(frozen=True, slots=True)
class Cost:
    """What a job cost so far."""

    amount_micros: int
    currency: str
    """Empty = the price is not known."""
    is_not_priced: bool
    """Whether the platform does not charge at all."""


@dataclass(frozen=True, slots=True)
class Breach:
    """A limit that was passed."""

    reason: JobReason
    message: str


def cost(job: Job, now: datetime) -> Cost:
    """Return what a job cost from its start until it ended, or until now."""
    if job.price is None:
        return Cost(0, "", is_not_priced=False)
    if job.price.not_priced:
        return Cost(0, "", is_not_priced=True)
    return Cost(estimate_micros(job.price, used(job, now)) or 0, job.price.currency, is_not_priced=False)


def used(job: Job, now: datetime) -> timedelta:
    """Return how long a job has been running."""
    if job.started_at is None:
        return timedelta(0)
    return max((job.ended_at or now) - job.started_at, timedelta(0))


def breach(job: Job, now: datetime) -> Breach | None:
    """Return the limit that a job has passed; None = all is well."""
    longest = job.limits.max_duration
    if longest is not None and used(job, now) > longest:
        return Breach(JobReason.TIMEOUT, f"it ran longer than its limit of {longest}")
    most, spent = job.limits.max_cost_micros, cost(job, now)
    if most and spent.amount_micros >= most:
        amounts = f"{spent.amount_micros / 1e6:.2f} of {most / 1e6:.2f} {spent.currency}"
        return Breach(JobReason.BUDGET_EXCEEDED, f"it has used up its budget: {amounts}")
    return None
