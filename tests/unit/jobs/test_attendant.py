"""What goes on around a job by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.errors import GatewayError, Reason
from gateway.jobs import attendant, submitter, twins
from gateway.jobs.attendant import Attendant
from gateway.jobs.ledger import Ledger
from gateway.jobs.model import (
    Hold,
    Job,
    JobLimits,
    JobReason,
    JobState,
    Metric,
    Observation,
    ResourceState,
)
from gateway.jobs.order import Orders
from gateway.platform import SourceBatch, SubmitOrder
from gateway.plugins.model import Description, LogSource, SubmitSafety
from gateway.store.database import Database
from tests.support.clocks import FakeClock
from tests.support.fake_platform import Deaf, FakePlatform, hourly
from tests.support.job_parts import FullStore, NoShelf, nothing, surroundings, until
from tests.support.log_source import LoggingPlatform, OnePlatform
from tests.unit.jobs.test_states import JOB

pytestmark = pytest.mark.unit


@dataclass
class Trainer(LoggingPlatform):
    """A platform whose only metrics are in its log."""

    capabilities: frozenset[str] = field(default_factory=frozenset)

    async def describe(self) -> Description:
        """Say what it has."""
        return Description(name="trainer", log_source=LogSource.CURSOR, capabilities=self.capabilities)


def attending(ledger: Ledger, platform: FakePlatform, clock: FakeClock, folder: Path) -> asyncio.Task[None]:
    return asyncio.create_task(attendant_of(ledger, platform, clock, folder).run())


def attendant_of(
    ledger: Ledger,
    platform: FakePlatform,
    clock: FakeClock,
    folder: Path,
    review: Callable[[str], Awaitable[list[str]]] = nothing,
) -> Attendant:
    around = surroundings(ledger, OnePlatform(platform), Orders(NoShelf()), clock, folder, review)
    return Attendant(JOB.id, around, lambda _: None)


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@dataclass
class Slow(FakePlatform):
    """A platform whose log ends late."""

    log_ends: asyncio.Event = field(default_factory=asyncio.Event)

    async def logs(self, platform_job_id: str, *, cursor: str, after_line: int) -> AsyncGenerator[SourceBatch, None]:
        """Send nothing until it ends."""
        await self.log_ends.wait()
        yield SourceBatch([], "", is_end=True)


RUNNING: Job = replace(JOB, state=JobState.RUNNING, platform_job_id="remote-1", resource_state=ResourceState.HELD)


@pytest.mark.parametrize("end", [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED])
async def test_a_job_that_its_platform_has_ended_is_let_go_while_its_log_is_still_read(
    ledger: Ledger, tmp_path: Path, end: JobState
) -> None:
    await ledger.add(RUNNING)
    platform = Slow()
    attended = attendant_of(ledger, platform, FakeClock(), tmp_path)
    task = asyncio.create_task(attended.run())
    attended.ended(Observation(state=end))

    async def is_let_go() -> bool:
        return (await ledger.get(JOB.id)).is_let_go

    await until(is_let_go)
    assert (await ledger.get(JOB.id)).state is JobState.FINALIZING
    platform.log_ends.set()
    async with asyncio.timeout(10):
        await task
    assert (await ledger.get(JOB.id)).state is end


@pytest.mark.parametrize("end", [JobState.SUCCEEDED, JobState.FAILED])
async def test_what_is_wrong_with_the_files_of_a_success_is_said_in_the_job_and_its_history(
    ledger: Ledger, tmp_path: Path, end: JobState
) -> None:
    async def review(_: str) -> list[str]:
        return ["no files", "and more"]

    await ledger.add(RUNNING)
    attended = attendant_of(ledger, FakePlatform(), FakeClock(), tmp_path, review)
    attended.ended(Observation(state=end, message="done"))
    async with asyncio.timeout(10):
        await attended.run()
    job = await ledger.get(JOB.id)
    said = (await ledger.events(JOB.id, 0, 100))[-1].message
    expected = "done; no files; and more" if end is JobState.SUCCEEDED else "done"
    assert (job.message, said) == (expected, expected)


async def test_a_machine_that_is_still_held_behind_the_end_is_told_of_with_its_price(
    ledger: Ledger, tmp_path: Path
) -> None:
    await ledger.add(replace(RUNNING, price=hourly("a", 24_000_000)))
    attended = attendant_of(ledger, FakePlatform(), FakeClock(), tmp_path)
    attended.ended(Observation(state=JobState.FAILED, message="exited", resource_state=ResourceState.HELD))
    with capture_logs() as told:
        async with asyncio.timeout(10):
            await attended.run()
    job = await ledger.get(JOB.id)
    assert job.message.startswith("exited; the platform says that it still holds a machine")
    assert "24.00 USD per hour" in job.message
    assert [entry["event"] for entry in told if entry["log_level"] == "warning"] == ["machine still held"]


async def test_files_that_cannot_be_looked_at_do_not_end_a_success_in_silence(ledger: Ledger, tmp_path: Path) -> None:
    async def review(_: str) -> list[str]:
        raise GatewayError("503", reason=Reason.PLATFORM_UNAVAILABLE)

    await ledger.add(RUNNING)
    attended = attendant_of(ledger, FakePlatform(), FakeClock(), tmp_path, review)
    attended.ended(Observation(state=JobState.SUCCEEDED))
    async with asyncio.timeout(10):
        await attended.run()
    job = await ledger.get(JOB.id)
    assert (job.state, job.message) == (JobState.SUCCEEDED, "its files could not be looked at: 503")


async def test_a_budget_is_kept_although_the_ledger_cannot_be_written(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attendant, "LIMIT_SECONDS", 0.001)

    store, clock, platform = FullStore(database), FakeClock(), Deaf()
    ledger = Ledger(store, clock)
    await ledger.load()
    used_up = replace(RUNNING, price=hourly("a", 3_600_000), limits=JobLimits(max_cost_micros=1))
    await ledger.add(replace(used_up, holds=(Hold(start=clock.now() - timedelta(hours=1)),)))
    store.is_full = True
    task = attending(ledger, platform, clock, tmp_path)

    async def asked() -> bool:
        return platform.count("cancel") > 2

    await until(asked)
    assert (await ledger.get(JOB.id)).state is JobState.RUNNING
    store.is_full = False

    async def noted() -> bool:
        return (await ledger.get(JOB.id)).reason is JobReason.BUDGET_EXCEEDED

    await until(noted)
    await stop(task)


@dataclass
class Lagging(FakePlatform):
    """A platform that loses the answer to its first submission, and whose lists show that machine only much later."""

    capabilities: frozenset[str] = field(default_factory=frozenset)
    made: int = 0
    shows_first: bool = False

    async def describe(self) -> Description:
        """Say that it can be asked for a token."""
        return Description(name="lagging", submit_safety=SubmitSafety.FINDABLE, capabilities=self.capabilities)

    async def submit(self, order: SubmitOrder) -> str:
        """Make a machine with every call."""
        self.made += 1
        self.jobs[f"machine-{self.made}"] = order
        if self.made == 1:
            raise GatewayError("the answer was lost", reason=Reason.PLATFORM_TIMEOUT)
        return f"machine-{self.made}"

    async def find(self, submission_token: str) -> str:
        """Show the first one, if at all, as lists do: oldest first."""
        self.calls.append("find")
        return "machine-1" if self.shows_first else ""

    async def logs(self, platform_job_id: str, *, cursor: str, after_line: int) -> AsyncGenerator[SourceBatch, None]:
        """Go on for ever."""
        await asyncio.Event().wait()
        yield SourceBatch([], "", is_end=True)


@pytest.mark.parametrize("capabilities", [frozenset[str](), frozenset({"list_jobs"})])
async def test_a_second_machine_that_a_lagging_list_shows_too_late_is_told_of(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capabilities: frozenset[str]
) -> None:
    monkeypatch.setattr(submitter, "LOOK_AFTER_SECONDS", (0.0, 0.0, 0.0, 0.0))
    monkeypatch.setattr(submitter, "RETRY_FIRST_SECONDS", 0.0)
    monkeypatch.setattr(submitter, "RETRY_CAP_SECONDS", 0.0)
    monkeypatch.setattr(twins, "LOOK_AFTER_SECONDS", (0.001,) * 10_000)
    await ledger.add(JOB)
    platform = Lagging(capabilities=capabilities)
    task = attending(ledger, platform, FakeClock(), tmp_path)

    async def is_accepted() -> bool:
        return bool((await ledger.get(JOB.id)).platform_job_id)

    await until(is_accepted)
    assert platform.calls[:5] == ["find"] * 5
    platform.shows_first = True

    async def is_told() -> bool:
        return "started it twice" in (await ledger.get(JOB.id)).message

    await until(is_told)
    job = await ledger.get(JOB.id)
    assert job.platform_job_id == "machine-2"
    assert "jobs orphans --end machine-1" in job.message
    await stop(task)


async def test_a_job_that_was_submitted_once_is_not_looked_for_again(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twins, "LOOK_AFTER_SECONDS", (0.0,) * 10)
    monkeypatch.setattr(attendant, "LIMIT_SECONDS", 0.001)
    await ledger.add(JOB)
    platform = Lagging(made=1, shows_first=True)
    task = attending(ledger, platform, FakeClock(), tmp_path)

    async def is_accepted() -> bool:
        return bool((await ledger.get(JOB.id)).platform_job_id)

    await until(is_accepted)
    for _ in range(20):
        # As many turns as the looks would take.
        await ledger.events(JOB.id, 0, 10)
    assert platform.count("find") == 0
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
