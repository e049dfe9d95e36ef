"""What is wanted of jobs is asked for until it is so, whatever fails in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from gateway.errors import GatewayError, Reason
from gateway.jobs import alarm, states, wishes
from gateway.jobs.ledger import Ledger
from gateway.jobs.model import Job, JobReason, JobState, Observation, ResourceState
from gateway.jobs.wishes import Wishes
from gateway.store.database import Database
from tests.support.clocks import FakeClock
from tests.support.fake_platform import Deaf, hourly
from tests.support.job_parts import FullStore, until
from tests.support.log_source import OnePlatform
from tests.unit.jobs.test_states import JOB

pytestmark = pytest.mark.unit

RUNNING = replace(JOB, state=JobState.RUNNING, platform_job_id="remote-1", price=hourly("a", 24_000_000))


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wishes, "WISH_FIRST_SECONDS", 0.001)
    monkeypatch.setattr(wishes, "WISH_CAP_SECONDS", 0.002)


@asynccontextmanager
async def pursued(ledger: Ledger, platform: Deaf, clock: FakeClock) -> AsyncIterator[asyncio.Task[None]]:
    """Ask for what is wanted for as long as the block is entered."""
    task = asyncio.create_task(Wishes(ledger, OnePlatform(platform), clock).run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def asked_often(platform: Deaf) -> Callable[[], Awaitable[bool]]:
    async def so() -> bool:
        return platform.count("cancel") > 5

    return so


async def cancel(ledger: Ledger) -> None:
    await ledger.change(JOB.id, lambda now: states.request_cancel(now, JobReason.CANCELLED_BY_USER, "no more"))


@pytest.mark.parametrize("refusal", [None, GatewayError("409", reason=Reason.WRONG_STATE)])
async def test_a_cancel_is_asked_for_again_for_ever_and_its_alarm_names_the_money(
    ledger: Ledger, refusal: GatewayError | None
) -> None:
    clock, platform = FakeClock(), Deaf(refusal=refusal)
    await ledger.add(RUNNING)
    await cancel(ledger)
    async with pursued(ledger, platform, clock):
        await until(asked_often(platform))
        assert (await ledger.get(JOB.id)).message == "no more"
        clock.advance(alarm.ALARM_AFTER.total_seconds())
        platform.calls.clear()
        await until(asked_often(platform))
    job = await ledger.get(JOB.id)
    assert job.state is JobState.CANCELLING
    assert "24.00 USD per hour" in job.message
    kinds = [event.kind for event in await ledger.events(JOB.id, 0, 100)]
    assert kinds.count("cancel_overdue") == 1


async def test_a_wish_that_is_noted_later_is_found_and_one_that_is_fulfilled_is_left_alone(ledger: Ledger) -> None:
    clock, platform = FakeClock(), Deaf()
    await ledger.add(RUNNING)
    async with pursued(ledger, platform, clock):
        await until(looked_several_times(ledger))
        assert not platform.calls
        await cancel(ledger)
        await until(asked_often(platform))
        released = Observation(state=JobState.CANCELLED, resource_state=ResourceState.RELEASED)
        await ledger.change(JOB.id, lambda now: states.over(now, released, clock.now()))
        await until(looked_several_times(ledger))
        platform.calls.clear()
        await until(looked_several_times(ledger))
        assert not platform.calls


def looked_several_times(ledger: Ledger) -> Callable[[], Awaitable[bool]]:
    """Count how often the open jobs are looked through, which is all that shows where nothing is asked."""
    looks: list[None] = []
    look = type(ledger).open_jobs

    def counting(connection_id: str | None = None) -> list[Job]:
        looks.append(None)
        return look(ledger, connection_id)

    ledger.open_jobs = counting  # type: ignore[method-assign]

    async def so() -> bool:
        return len(looks) > 5

    return so


async def test_a_cancel_is_asked_for_again_although_the_ledger_cannot_be_written(database: Database) -> None:
    store, clock, platform = FullStore(database), FakeClock(), Deaf()
    ledger = Ledger(store, clock)
    await ledger.load()
    await ledger.add(RUNNING)
    await cancel(ledger)
    store.is_full = True
    clock.advance(alarm.ALARM_AFTER.total_seconds())
    async with pursued(ledger, platform, clock) as task:
        await until(asked_often(platform))
        assert not task.done()
        store.is_full = False

        async def is_told() -> bool:
            return "24.00 USD per hour" in (await ledger.get(JOB.id)).message

        await until(is_told)
