"""What a job costs: for what was held, and for nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.catalog.estimate import estimate_micros
from gateway.catalog.model import Price, PriceUnit
from gateway.jobs import alarm, limits, states
from gateway.jobs.holds import MOST_HOLDS
from gateway.jobs.ledger import Ledger
from gateway.jobs.model import Hold, Job, JobLimits, JobReason, JobState, Observation, ResourceState
from gateway.store.database import Database
from gateway.store.jobs import JobStore
from tests.support.clocks import NOON, FakeClock
from tests.support.fake_platform import hourly
from tests.unit.jobs.test_states import JOB

pytestmark = pytest.mark.unit

PRICED = replace(JOB, platform_job_id="remote-1", created_at=NOON, price=hourly("a", 3_600_000))
"""A dollar a second would be a thousand times as much: a second costs 1000 micros."""

SECOND = timedelta(seconds=1)

HELD = Observation(state=JobState.RUNNING, resource_state=ResourceState.HELD)
PAUSED = Observation(state=JobState.PAUSED, resource_state=ResourceState.UNKNOWN)
DONE = Observation(state=JobState.SUCCEEDED, resource_state=ResourceState.RELEASED)


def lived(job: Job, *looks: tuple[float, Observation]) -> Job:
    """Let looks follow each other, each at so many seconds behind noon."""
    for seconds, seen in looks:
        job = states.observe(job, seen, NOON + seconds * SECOND).job
    return job


def spent(job: Job, seconds: float) -> int:
    return limits.cost(job, NOON + seconds * SECOND).amount_micros


def test_what_is_held_costs_and_a_pause_does_not() -> None:
    job = lived(PRICED, (0, HELD), (10, PAUSED), (50, HELD), (60, DONE))
    assert limits.held_time(job, NOON + 999 * SECOND) == 20 * SECOND
    assert spent(job, 999) == 20_000


def test_a_machine_that_is_held_before_the_training_starts_costs_already() -> None:
    early = Observation(state=JobState.PROVISIONING, resource_state=ResourceState.HELD)
    assert spent(lived(PRICED, (5, early)), 25) == 20_000


def test_a_machine_that_a_job_gets_while_it_is_being_cancelled_is_charged_for() -> None:
    cancelling = states.request_cancel(PRICED, JobReason.CANCELLED_BY_USER, "no").job
    gone = Observation(state=JobState.CANCELLED, resource_state=ResourceState.RELEASED)
    job = lived(cancelling, (10, HELD), (40, gone))
    assert (job.state, spent(job, 999)) == (JobState.CANCELLED, 30_000)


def test_a_log_that_is_still_read_behind_the_end_costs_nothing() -> None:
    job = lived(PRICED, (0, HELD))
    told = Observation(state=JobState.FAILED)
    job = states.over(job, told, NOON + 10 * SECOND).job
    assert (job.state, job.resource_state) == (JobState.FINALIZING, ResourceState.RELEASED)
    assert spent(lived(job, (20, told)), 999) == 10_000


def test_a_training_that_runs_costs_although_its_platform_cannot_tell_what_it_holds() -> None:
    running = Observation(state=JobState.RUNNING, resource_state=ResourceState.UNKNOWN)
    job = replace(PRICED, limits=JobLimits(max_cost_micros=20_000))
    job = lived(job, (0, running), (10, running))
    assert spent(job, 15) == 15_000
    assert limits.breach(job, NOON + 20 * SECOND) is not None


def test_a_queue_costs_nothing() -> None:
    waiting = Observation(state=JobState.QUEUED, resource_state=ResourceState.NONE)
    assert spent(lived(PRICED, (0, waiting), (500, waiting)), 1000) == 0


def test_a_job_that_ran_while_the_gateway_was_down_is_counted_by_the_platforms_times() -> None:
    ran = replace(DONE, started_at=NOON + 10 * SECOND, ended_at=NOON + 40 * SECOND)
    assert spent(lived(PRICED, (5000, ran)), 9000) == 30_000


def test_a_platform_whose_clock_is_wrong_neither_makes_money_nor_loses_it() -> None:
    early = replace(HELD, started_at=NOON - timedelta(days=400))
    late = replace(DONE, ended_at=NOON + timedelta(days=400))
    assert spent(lived(PRICED, (10, early), (20, late)), 9999) == 20_000
    future = replace(HELD, started_at=NOON + timedelta(days=400))
    assert spent(lived(PRICED, (10, future), (20, DONE)), 9999) == 10_000


@pytest.mark.parametrize("hours", [-7, 0, 7])
def test_a_clock_that_is_hours_off_makes_no_job_overdue_and_hides_no_cost(hours: int) -> None:
    skew = timedelta(hours=hours)
    running = replace(HELD, started_at=NOON + skew)
    ended = replace(DONE, started_at=NOON + skew, ended_at=NOON + skew + 60 * SECOND)
    job = replace(PRICED, limits=JobLimits(max_duration=timedelta(hours=1)))
    looked_at = lived(job, (0, running), (30, running), (60, running))
    assert limits.breach(looked_at, NOON + 61 * SECOND) is None
    assert limits.breach(looked_at, NOON + 3700 * SECOND) is not None
    over = lived(looked_at, (61, ended))
    assert over.started_at is not None
    assert over.ended_at is not None
    assert NOON <= over.started_at <= over.ended_at <= NOON + 61 * SECOND
    assert 60_000 <= spent(over, 999) <= 61_000
    # Begun and ended between two looks.
    assert spent(lived(job, (61, ended)), 999) == 60_000


def test_a_machine_that_is_being_released_is_still_charged_for() -> None:
    leaving = Observation(state=JobState.RUNNING, resource_state=ResourceState.RELEASE_REQUESTED)
    assert spent(lived(PRICED, (0, HELD), (10, leaving)), 15) == 15_000


def test_each_stretch_is_rounded_up_and_has_its_minimum_as_platforms_bill() -> None:
    price = replace(hourly("a", 3_600_000), billing_increment_seconds=60, minimum_seconds=300)
    job = lived(replace(PRICED, price=price), (0, HELD), (10, PAUSED), (50, HELD), (411, DONE))
    assert spent(job, 999) == 300_000 + 420_000


@pytest.mark.parametrize(
    ("unit", "amount", "expected"),
    [
        (PriceUnit.HOUR, 3_600_000, 90_000),
        (PriceUnit.MINUTE, 60_000, 90_000),
        (PriceUnit.SECOND, 1_000, 90_000),
        (PriceUnit.JOB, 5_000_000, 5_000_000),
        (PriceUnit.TOKEN, 3, 3_000),
    ],
)
def test_every_unit_of_price_is_counted(unit: PriceUnit, amount: int, expected: int) -> None:
    priced = replace(PRICED, price=replace(hourly("a", amount), unit=unit), tokens=1_000)
    assert spent(lived(priced, (0, HELD), (90, DONE)), 999) == expected


def test_a_price_per_job_is_not_owed_before_something_is_held() -> None:
    assert spent(replace(PRICED, price=replace(hourly("a", 5), unit=PriceUnit.JOB)), 999) == 0


async def test_a_restart_changes_no_cost(database: Database, clock: FakeClock) -> None:
    ledger = Ledger(JobStore(database), clock)
    await ledger.load()
    await ledger.add(PRICED)
    for seen in (HELD, PAUSED, HELD):
        await ledger.change(PRICED.id, lambda now, seen=seen: states.observe(now, seen, clock.now()))  # type: ignore[misc]
        clock.advance(10)
    again = Ledger(JobStore(database), clock)
    (job,) = await again.load()
    assert job.holds == (Hold(start=NOON, end=NOON + 10 * SECOND), Hold(start=NOON + 20 * SECOND))
    assert limits.cost(job, clock.now()).amount_micros == 20_000
    assert limits.cost(job, clock.now()) == limits.cost(await ledger.get(job.id), clock.now())


looks = st.lists(
    st.tuples(
        st.sampled_from([JobState.QUEUED, JobState.RUNNING, JobState.PAUSED, JobState.SUCCEEDED, None]),
        st.sampled_from(ResourceState),
        st.integers(0, 100),
        st.none() | st.integers(-1000, 1000),
    ),
    max_size=30,
)


@settings(deadline=None)
@given(looks)
def test_cost_never_shrinks_and_is_never_more_than_the_time_since_the_submission(
    seen: Sequence[tuple[JobState | None, ResourceState, int, int | None]],
) -> None:
    job, now, before = PRICED, NOON, 0
    for state, held, passed, told in seen:
        now += passed * SECOND
        moment = None if told is None else NOON + told * SECOND
        look = Observation(
            state=state,
            resource_state=held,
            started_at=moment,
            ended_at=moment if state is JobState.SUCCEEDED else None,
        )
        job = states.observe(job, look, now).job
        amount = limits.cost(job, now).amount_micros
        if not job.state.is_terminal:
            # An end may lie before the look that tells of it.
            assert amount >= before
            before = amount
        assert amount <= 1000 * (now - NOON) // SECOND
        assert all(hold.end is not None and hold.start <= hold.end for hold in job.holds[:-1])
        if job.state.is_terminal:
            assert all(hold.end is not None for hold in job.holds)


def test_a_platform_that_flickers_costs_no_memory() -> None:
    let_go = Observation(state=JobState.RUNNING, resource_state=ResourceState.RELEASED)
    flicker = [(number, HELD if number % 2 == 0 else let_go) for number in range(4 * MOST_HOLDS)]
    job = lived(PRICED, *flicker)
    assert len(job.holds) == MOST_HOLDS


def test_the_budget_is_warned_of_at_80_percent_and_passed_at_100() -> None:
    job = lived(replace(PRICED, limits=JobLimits(max_cost_micros=100_000)), (0, HELD))
    assert limits.warning(job, NOON + 79 * SECOND) == ""
    assert "0.08 of 0.10 USD" in limits.warning(job, NOON + 80 * SECOND)
    assert limits.breach(job, NOON + 99 * SECOND) is None
    breach = limits.breach(job, NOON + 100 * SECOND)
    assert breach is not None
    assert breach.reason is JobReason.BUDGET_EXCEEDED


def test_a_cancel_that_is_not_confirmed_names_the_money_it_costs() -> None:
    job = replace(PRICED, state=JobState.CANCELLING)
    assert alarm.overdue(job, NOON, NOON + alarm.ALARM_AFTER - SECOND) == ""
    words = alarm.overdue(job, NOON, NOON + alarm.ALARM_AFTER)
    assert "3.60 USD per hour" in words
    assert "remote-1" in words
    raised = alarm.raised(job, words)
    assert (raised.kind, raised.job.message) == ("cancel_overdue", words)
    assert alarm.raised(raised.job, words).kind == ""
    assert alarm.overdue(replace(job, state=JobState.RUNNING), NOON, NOON + timedelta(days=1)) == ""


@settings(deadline=None)
@given(
    st.integers(0, 10**9), st.sampled_from([PriceUnit.HOUR, PriceUnit.MINUTE, PriceUnit.SECOND]), st.integers(0, 600)
)
def test_one_stretch_costs_what_the_estimate_says(amount: int, unit: PriceUnit, seconds: int) -> None:
    price: Price = replace(hourly("a", amount), unit=unit)
    job = lived(replace(PRICED, price=price), (0, HELD), (seconds, DONE))
    assert spent(job, 9999) == estimate_micros(price, seconds * SECOND)
