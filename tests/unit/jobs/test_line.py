"""Jobs that wait for their turn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from gateway.errors import ConnectorDown, GatewayError, Reason, WrongState
from gateway.jobs import states, submitter
from gateway.jobs.ledger import Ledger
from gateway.jobs.line import Line
from gateway.jobs.model import Job, JobReason, JobState, ResourceState
from gateway.jobs.order import Orders
from gateway.jobs.submitter import Submitter
from gateway.platform import SubmitOrder
from gateway.plugins.model import Description, SubmitSafety
from gateway.store.database import Database
from gateway.store.jobs import JobStore
from tests.support.clocks import NOON, FakeClock
from tests.support.fake_platform import FakePlatform
from tests.support.log_source import OnePlatform
from tests.unit.jobs.test_states import JOB
from tests.unit.jobs.test_submitter import NoShelf

pytestmark = pytest.mark.unit


@dataclass
class Narrow(FakePlatform):
    """A platform that runs two jobs at a time."""

    most: int = 2
    refusals: list[GatewayError] = field(default_factory=list)

    async def describe(self) -> Description:
        """Say how many."""
        return Description(name="narrow", concurrent_jobs=self.most, submit_safety=SubmitSafety.NONE)

    async def submit(self, order: SubmitOrder) -> str:
        """Refuse as it is told, or take the job."""
        if self.refusals:
            self.calls.append("refused")
            raise self.refusals.pop(0)
        return await super().submit(order)


def wished(number: int) -> Job:
    made = NOON + timedelta(seconds=number)
    return replace(JOB, id=f"job-{number}", submission_token=f"peft-{number}", created_at=made)


async def until(so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await so():  # noqa: ASYNC110 - one turn of the loop at a time
            await asyncio.sleep(0)


async def end(ledger: Ledger, number: int) -> None:
    await ledger.change(f"job-{number}", lambda now: states.fail(now, JobReason.PLATFORM_ERROR, "x", NOON))


def numbers(platform: FakePlatform) -> list[int]:
    return [int(key.rpartition("-")[2]) for key in platform.jobs]


async def message(ledger: Ledger, number: int) -> str:
    return Line(ledger).shown(await ledger.get(f"job-{number}")).message


async def held(ledger: Ledger, *waiting: int) -> bool:
    jobs = [await ledger.get(f"job-{number}") for number in waiting]
    return all(job.state is JobState.QUEUED and not job.platform_job_id for job in jobs)


async def test_jobs_beyond_the_limit_wait_queued_with_their_place_and_go_in_order(ledger: Ledger) -> None:
    for number in range(5):
        await ledger.add(wished(number))
    platform = Narrow()
    one = Submitter(ledger, OnePlatform(platform), Orders(NoShelf()), FakeClock())
    tasks = [asyncio.create_task(one.run(f"job-{number}")) for number in (4, 2, 3, 0, 1)]
    await until(lambda: held(ledger, 2, 3, 4))

    async def two_run() -> bool:
        return sorted(numbers(platform)) == [0, 1]

    await until(two_run)
    assert await message(ledger, 2) == "waits for its turn: it is the next"
    assert await message(ledger, 3) == "waits for its turn: 1 job is before it"
    assert await message(ledger, 4) == "waits for its turn: 2 jobs are before it"
    for ended in range(3):
        await end(ledger, ended)

        async def one_more(running: int = ended + 3) -> bool:
            return len(platform.jobs) == running

        await until(one_more)
    assert numbers(platform)[2:] == [2, 3, 4]
    await asyncio.gather(*tasks)


async def test_the_order_survives_a_restart_and_a_job_whose_call_was_cut_keeps_its_slot(
    database: Database, ledger: Ledger
) -> None:
    for number in range(4):
        await ledger.add(wished(number))
    # The gateway died while the platform was called for the first, and it cannot be asked.
    await ledger.change("job-0", submitter._started)
    await ledger.change("job-1", lambda now: states.Step(replace(now, platform_job_id="remote-1")))
    again = Ledger(JobStore(database), FakeClock())
    jobs = await again.load()
    line = Line(again)
    assert [line.has_turn(job, 2) for job in jobs] == [True, True, False, False]
    assert [line.has_turn(job, 3) for job in jobs] == [True, True, True, False]
    assert jobs[0].resource_state is ResourceState.UNKNOWN


async def test_a_job_that_waits_can_be_cancelled_at_once_and_the_others_move_up(ledger: Ledger) -> None:
    for number in range(4):
        await ledger.add(wished(number))
    platform = Narrow(most=1)
    one = Submitter(ledger, OnePlatform(platform), Orders(NoShelf()), FakeClock())
    tasks = {number: asyncio.create_task(one.run(f"job-{number}")) for number in range(4)}
    await until(lambda: held(ledger, 1, 2, 3))
    await ledger.change("job-2", lambda now: states.request_cancel(now, JobReason.CANCELLED_BY_USER, "no"))
    one.wake()
    async with asyncio.timeout(10):
        assert (await tasks[2]).state is JobState.CANCELLED
    assert await message(ledger, 3) == "waits for its turn: 1 job is before it"
    assert numbers(platform) in ([], [0])
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


async def test_a_job_that_waits_has_nothing_to_pause(ledger: Ledger) -> None:
    with pytest.raises(WrongState, match="waits for its turn"):
        states.request_pause(replace(wished(0), state=JobState.QUEUED))


async def test_a_call_that_never_left_is_not_ambiguous_even_where_the_platform_cannot_tell(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submitter, "RETRY_FIRST_SECONDS", 0.0)
    monkeypatch.setattr(submitter, "RETRY_CAP_SECONDS", 0.0)
    unsent = ConnectorDown("the process does not run")
    unsent.is_unsent = True
    paused = GatewayError("slow down", reason=Reason.RATE_LIMITED)
    await ledger.add(wished(0))
    platform = Narrow(refusals=[unsent, paused])
    async with asyncio.timeout(10):
        job = await Submitter(ledger, OnePlatform(platform), Orders(NoShelf()), FakeClock()).run("job-0")
    assert (job.state, job.platform_job_id) == (JobState.QUEUED, "remote-job-0")
    assert platform.calls.count("refused") == 2
