"""What goes on around a job by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from gateway.errors import GatewayError, Reason
from gateway.jobs import alarm, attendant, states
from gateway.jobs.attendant import Attendant, Surroundings
from gateway.jobs.ledger import Ledger
from gateway.jobs.model import Job, JobReason, JobState, Metric
from gateway.jobs.order import Orders
from gateway.jobs.submitter import Submitter
from gateway.logs.store import LogStore
from gateway.plugins.model import Description, LogSource
from tests.support.clocks import FakeClock
from tests.support.fake_platform import FakePlatform, hourly
from tests.support.log_source import LoggingPlatform, OnePlatform
from tests.unit.jobs.test_jobs_service import nothing
from tests.unit.jobs.test_states import JOB
from tests.unit.jobs.test_submitter import NoShelf

pytestmark = pytest.mark.unit


@dataclass
class Deaf(FakePlatform):
    """A platform that does not end jobs."""

    refusal: GatewayError | None = None

    async def cancel(self, platform_job_id: str) -> None:
        """Refuse, or say yes and do nothing."""
        self.calls.append("cancel")
        if self.refusal:
            raise self.refusal


@dataclass
class Trainer(LoggingPlatform):
    """A platform whose only metrics are in its log."""

    capabilities: frozenset[str] = field(default_factory=frozenset)

    async def describe(self) -> Description:
        """Say what it has."""
        return Description(name="trainer", log_source=LogSource.CURSOR, capabilities=self.capabilities)


def attending(ledger: Ledger, platform: FakePlatform, clock: FakeClock, folder: Path) -> asyncio.Task[None]:
    platforms = OnePlatform(platform)
    around = Surroundings(
        ledger=ledger,
        submitter=Submitter(ledger, platforms, Orders(NoShelf()), clock),
        platforms=platforms,
        logs=LogStore(folder),
        clock=clock,
        secrets=nothing,
        list_artifacts=nothing,
        note_rejected=nothing,
    )
    return asyncio.create_task(Attendant(JOB.id, around, lambda _: None).run())


async def until(so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await so():  # noqa: ASYNC110 - what is waited for is written by a thread of the database
            await asyncio.sleep(0.001)


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("refusal", [None, GatewayError("409", reason=Reason.WRONG_STATE)])
async def test_a_cancel_is_asked_for_again_for_ever_and_its_alarm_names_the_money(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: GatewayError | None
) -> None:
    monkeypatch.setattr(attendant, "WISH_FIRST_SECONDS", 0.001)
    monkeypatch.setattr(attendant, "WISH_CAP_SECONDS", 0.002)
    clock, platform = FakeClock(), Deaf(refusal=refusal)
    await ledger.add(replace(JOB, state=JobState.RUNNING, platform_job_id="remote-1", price=hourly("a", 24_000_000)))
    await ledger.change(JOB.id, lambda now: states.request_cancel(now, JobReason.CANCELLED_BY_USER, "no more"))
    task = attending(ledger, platform, clock, tmp_path)

    async def asked_often() -> bool:
        return platform.count("cancel") > 5

    await until(asked_often)
    assert (await ledger.get(JOB.id)).message == "no more"
    clock.advance(alarm.ALARM_AFTER.total_seconds())
    platform.calls.clear()
    await until(asked_often)
    job = await ledger.get(JOB.id)
    assert job.state is JobState.CANCELLING
    assert "24.00 USD per hour" in job.message
    kinds = [event.kind for event in await ledger.events(JOB.id, 0, 100)]
    assert kinds.count("cancel_overdue") == 1
    await stop(task)


async def points(ledger: Ledger) -> list[Metric]:
    return [point async for point in ledger.metric_stream(JOB.id, [], 0)]


async def test_metrics_in_a_log_are_kept_each_once_however_often_the_log_is_cut(ledger: Ledger, tmp_path: Path) -> None:
    running: Job = replace(JOB, state=JobState.RUNNING, platform_job_id="remote-1")
    await ledger.add(running)
    lines = [f"{{'loss': {step / 8}, 'num_tokens': {step * 100}}}" if step % 3 else "chatter" for step in range(40)]
    platform = Trainer(lines=lines, cuts=[7, 12, 3])
    task = attending(ledger, platform, FakeClock(), tmp_path)

    async def is_read() -> bool:
        return (await ledger.get(JOB.id)).tokens == 3800

    await until(is_read)
    losses = [(point.step, point.value) for point in await points(ledger) if point.name == "loss"]
    assert losses == [(step + 1, step / 8) for step in range(40) if step % 3]
    await stop(task)


async def test_where_a_platform_gives_metrics_its_log_is_not_read_for_them(ledger: Ledger, tmp_path: Path) -> None:
    await ledger.add(replace(JOB, state=JobState.RUNNING, platform_job_id="remote-1"))
    platform = Trainer(lines=["{'loss': 1.0}"], capabilities=frozenset({"get_metrics"}))
    task = attending(ledger, platform, FakeClock(), tmp_path)

    async def was_read_twice() -> bool:
        return platform.count("logs") >= 2

    await until(was_read_twice)
    assert await points(ledger) == []
    await stop(task)
