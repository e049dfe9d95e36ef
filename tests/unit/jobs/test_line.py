"""Jobs that wait for their turn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import ConnectorDown, GatewayError, Reason, WrongState
from gateway.jobs import states, submitter
from gateway.jobs.ledger import Ledger
from gateway.jobs.line import Line
from gateway.jobs.model import Job, JobReason, JobState, Observation, ResourceState
from gateway.jobs.order import Orders
from gateway.jobs.submitter import Submitter
from gateway.platform import SubmitOrder
from gateway.plugins.model import Description, SubmitSafety
from gateway.store.database import Database
from gateway.store.jobs import JobStore
from tests.support.clocks import NOON, FakeClock
from tests.support.fake_platform import FakePlatform
from tests.support.job_parts import NoShelf
from tests.support.log_source import OnePlatform
from tests.unit.jobs.test_states import JOB

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


async def test_a_place_is_free_as_soon_as_the_platform_has_let_go_of_the_machine(ledger: Ledger) -> None:
    for number in range(3):
        await ledger.add(wished(number))
    platform = Narrow()
    one = Submitter(ledger, OnePlatform(platform), Orders(NoShelf()), FakeClock())
    tasks = [asyncio.create_task(one.run(f"job-{number}")) for number in range(3)]
    await until(lambda: held(ledger, 2))
    await asyncio.gather(*tasks[:2])
    await ledger.change("job-0", lambda now: states.observe(now, Observation(state=JobState.RUNNING), NOON))
    # Its log is still read, and its end not announced.
    await ledger.change("job-0", lambda now: states.over(now, Observation(state=JobState.FAILED), NOON))
    async with asyncio.timeout(10):
        assert (await tasks[2]).platform_job_id
    assert (await ledger.get("job-0")).state is JobState.FINALIZING


async def test_a_machine_that_may_still_be_held_keeps_its_place(ledger: Ledger) -> None:
    await ledger.add(wished(0))
    await ledger.add(wished(1))
    await ledger.change("job-0", lambda now: states.Step(replace(now, platform_job_id="remote-0")))
    gone = Observation(state=JobState.FAILED, resource_state=ResourceState.UNKNOWN)
    await ledger.change("job-0", lambda now: states.over(now, gone, NOON))
    assert not Line(ledger).has_turn(await ledger.get("job-1"), 1)


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


@dataclass
class Book:
    """The open jobs, as a ledger has them."""

    jobs: dict[str, Job] = field(default_factory=dict)
    published: int = 0

    def open_jobs(self, connection_id: str | None = None) -> list[Job]:
        """Return them, in no order."""
        return sorted(self.jobs.values(), key=lambda job: job.submission_token)

    def put(self, job: Job) -> None:
        self.published += 1
        self.jobs[job.id] = job

    def end(self, job_id: str) -> None:
        self.published += 1
        del self.jobs[job_id]


@settings(deadline=None)
@given(st.lists(st.sampled_from(["submit", "start", "end", "restart"]), max_size=80), st.integers(1, 4), st.randoms())
def test_never_do_more_jobs_run_than_may_and_all_start_in_the_order_of_their_submission(
    actions: list[str], most: int, chance: Random
) -> None:
    book, started, count = Book(), list[int](), 0
    line = Line(book)  # type: ignore[arg-type]
    for action in actions:
        waiting = [job for job in book.open_jobs() if job.is_waiting_here]
        running = [job for job in book.open_jobs() if not job.is_waiting_here]
        if action == "submit":
            token = f"peft-{chance.random()}"
            book.put(replace(wished(count), submission_token=token))
            count += 1
        elif action == "start" and waiting:
            # They ask in any order; who has no turn waits on.
            for job in chance.sample(waiting, len(waiting)):
                if line.has_turn(job, most):
                    book.put(submitter._started(job).job)
                    started.append(int(job.id.removeprefix("job-")))
        elif action == "end" and running:
            book.end(chance.choice(running).id)
        elif action == "restart":
            line = Line(book)  # type: ignore[arg-type]
        assert sum(1 for job in book.open_jobs() if not job.is_waiting_here) <= most
    # Those that have a turn at the same time may start in any order among themselves.
    assert all(number <= place + most - 1 for place, number in enumerate(started))
