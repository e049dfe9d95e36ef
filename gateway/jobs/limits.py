"""What a job has used, and whether that is more than it may."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.catalog.estimate import estimate_micros, tokens_micros
from gateway.catalog.model import Price, PriceUnit
from gateway.jobs.model import Job, JobReason

WARN_PERCENT = 80
"""Share of the budget at which people are told: time enough to save a checkpoint."""


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
    """Return what a job cost for all that was held for it until now; the same after any restart."""
    if job.price is None:
        return Cost(0, "", is_not_priced=False)
    if job.price.not_priced:
        return Cost(0, "", is_not_priced=True)
    return Cost(_amount_micros(job, job.price, now), job.price.currency, is_not_priced=False)


def held_time(job: Job, now: datetime) -> timedelta:
    """Return how long something that may cost money was held."""
    return sum(((hold.end or max(now, hold.start)) - hold.start for hold in job.holds), timedelta(0))


def used(job: Job, now: datetime) -> timedelta:
    """Return how long ago a job began, or how long it took."""
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
        return Breach(JobReason.BUDGET_EXCEEDED, f"it has used up its budget: {_share(spent, most)}")
    return None


def warning(job: Job, now: datetime) -> str:
    """Say that the budget is nearly used up; empty = it is not."""
    most, spent = job.limits.max_cost_micros, cost(job, now)
    if not most or spent.amount_micros * 100 < most * WARN_PERCENT:
        return ""
    return f"{WARN_PERCENT} % of its budget is used up: {_share(spent, most)}; at 100 % it is cancelled"


def _share(spent: Cost, most: int) -> str:
    return f"{_digits(spent.amount_micros)} of {_digits(most)} {spent.currency}"


def _digits(micros: int) -> str:
    amount = micros / 1e6
    return f"{amount:.2f}" if amount >= 0.1 or not micros else f"{amount:.6f}".rstrip("0")


def _amount_micros(job: Job, price: Price, now: datetime) -> int:
    if price.unit is PriceUnit.TOKEN:
        return tokens_micros(price, job.tokens)
    if price.unit is PriceUnit.JOB:
        return price.amount_micros if job.holds else 0
    # Each stretch is a machine of its own: its minimum and its rounding are charged each time.
    stretches = ((hold.end or max(now, hold.start)) - hold.start for hold in job.holds)
    return sum(estimate_micros(price, stretch) or 0 for stretch in stretches)
