"""Changes that come together are stored together, and told as if each had come alone."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from gateway.errors import GatewayError, LedgerUnavailable, StorageFull
from gateway.jobs.ledger import Ledger
from gateway.jobs.model import Job, JobFilter
from gateway.jobs.states import Step
from gateway.store.database import Database
from gateway.store.jobs import Change, JobStore, Record
from gateway.store.sqlite import SQLite
from tests.support.clocks import FakeClock
from tests.unit.jobs.test_ledger import job, running

pytestmark = pytest.mark.unit

JOBS = 4


class Counting(JobStore):
    """Counts its transactions, and can be held, or fail on demand."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.sizes: list[int] = []
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.failures: list[GatewayError | None] = []

    async def keep(self, records: Sequence[Record]) -> None:
        self.sizes.append(len(records))
        await self.may_go_on.wait()
        if self.failures and (failure := self.failures.pop(0)):
            raise failure
        await super().keep(records)


@pytest.fixture
async def store(database: Database) -> Counting:
    return Counting(database)


async def loaded(store: Counting) -> Ledger:
    ledger = Ledger(store, FakeClock())
    await ledger.load()
    return ledger


@asynccontextmanager
async def while_one_is_written(ledger: Ledger, store: Counting) -> AsyncIterator[None]:
    """Hold a write, so that all that is begun in the block waits for the next one."""
    written = len(store.sizes)
    store.may_go_on.clear()
    first = asyncio.create_task(ledger.add(job(0)))
    async with asyncio.timeout(10):
        while len(store.sizes) == written:  # noqa: ASYNC110 - by another task
            await asyncio.sleep(0)
    yield
    # Everything that waits has come as far as it can.
    for _ in range(10):
        await asyncio.sleep(0)
    store.may_go_on.set()
    await first


async def test_all_that_comes_while_one_is_written_goes_with_the_next_write(store: Counting) -> None:
    ledger = await loaded(store)
    watch = ledger.watch(JobFilter(), 0)
    assert await anext(watch) == []
    async with asyncio.TaskGroup() as tasks, while_one_is_written(ledger, store):
        for number in range(1, 41):
            tasks.create_task(ledger.add(job(number)))
    assert store.sizes == [1, 40]
    told = [(change.number, change.job.id) for change in await anext(watch)]
    assert told == [(number + 1, f"job-{number:03}") for number in range(41)]
    assert [found.id for found in await store.open_jobs()] == [name for _, name in told]


async def test_a_job_that_cannot_be_stored_does_not_fail_those_that_came_with_it(store: Counting) -> None:
    ledger = await loaded(store)
    await ledger.add(job(9, request_id="wish"))
    wishes = [(1, ""), (2, "wish"), (3, "")]
    async with while_one_is_written(ledger, store):
        adding = [asyncio.create_task(ledger.add(job(number, request_id=wish))) for number, wish in wishes]
        changing = asyncio.create_task(ledger.change("job-009", running))
    results = await asyncio.gather(*adding, changing, return_exceptions=True)
    assert [type(result) for result in results] == [Job, IntegrityError, Job, Job]
    assert {found.id for found in await store.open_jobs()} == {"job-000", "job-001", "job-003", "job-009"}
    assert {found.id for found in ledger.open_jobs()} == {"job-000", "job-001", "job-003", "job-009"}


@pytest.mark.parametrize("error", [StorageFull("the disk is full"), LedgerUnavailable("the server is gone")])
async def test_a_ledger_that_cannot_be_written_is_told_to_all_and_nothing_is_half_kept(
    store: Counting, error: GatewayError
) -> None:
    ledger = await loaded(store)
    await ledger.add(job(9))
    async with while_one_is_written(ledger, store):
        store.failures = [None, error]
        adding = [asyncio.create_task(ledger.add(job(number))) for number in range(1, 5)]
        changing = asyncio.create_task(ledger.change("job-009", running))
    results = await asyncio.gather(*adding, changing, return_exceptions=True)
    assert results == [error] * 5
    assert store.sizes == [1, 1, 5]
    assert await everything(store) == {found.id: found for found in ledger.open_jobs()}
    await asyncio.gather(*(ledger.add(job(number)) for number in range(1, 5)))
    assert len(ledger.open_jobs()) == 6


async def test_nobody_waits_for_a_write_that_the_end_of_the_program_took_away(store: Counting) -> None:
    ledger = await loaded(store)
    store.may_go_on.clear()
    before = asyncio.all_tasks()
    adding = [asyncio.create_task(ledger.add(job(number))) for number in range(3)]
    async with asyncio.timeout(10):
        while not store.sizes:  # noqa: ASYNC110 - by another task
            await asyncio.sleep(0)
        # As asyncio.run does.
        for task in asyncio.all_tasks() - before:
            task.cancel()
        results = await asyncio.gather(*adding, return_exceptions=True)
    assert {type(result) for result in results} == {asyncio.CancelledError}


async def everything(store: JobStore) -> dict[str, Job]:
    return {found.id: found for found in await store.open_jobs()}


actions = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, JOBS - 1)),
        st.tuples(st.just("change"), st.integers(0, JOBS - 1)),
        st.tuples(st.just("hang up"), st.integers(0, JOBS * 4)),
        st.tuples(st.just("fail"), st.integers(0, 3)),
        st.tuples(st.just("go on"), st.integers(0, 12)),
    ),
    max_size=40,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions)
def test_however_changes_failures_and_hang_ups_meet_memory_is_the_database_and_all_is_told_in_order(
    sqlite_template: Path, steps: list[tuple[str, int]]
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        shutil.copyfile(sqlite_template, path)
        asyncio.run(meet(path, steps))


async def meet(path: Path, steps: list[tuple[str, int]]) -> None:
    database = await Database.open(SQLite(path))
    store = Counting(database)
    ledger = await loaded(store)
    told: list[Change] = []
    watching = asyncio.create_task(listen(ledger, told))
    tasks: list[asyncio.Task[object]] = []
    for what, number in steps:
        match what:
            case "add":
                tasks.append(asyncio.create_task(ledger.add(job(number, request_id=f"wish-{number // 2}"))))
            case "change":
                tasks.append(asyncio.create_task(ledger.change(f"job-{number:03}", count)))
            case "hang up" if tasks:
                tasks[number % len(tasks)].cancel()
            case "fail":
                store.failures += [None] * number + [StorageFull("the disk is full")]
            case _:
                for _ in range(number):
                    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        results = await asyncio.gather(*tasks, return_exceptions=True)
        while ledger.published and not (told and told[-1].number == ledger.published):  # noqa: ASYNC110 - by tasks
            await asyncio.sleep(0)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    stored = await everything(store)
    assert stored == {found.id: found for found in ledger.open_jobs()}
    assert stored == {change.job.id: change.job for change in told}
    numbers = [change.number for change in told]
    assert numbers == sorted(set(numbers))
    # Whoever was told that a change is kept finds it, and each change is there once.
    assert all(stored[one.id].revision >= one.revision for one in results if isinstance(one, Job))
    assert all(one.attempt == one.revision for one in stored.values())
    await database.close()


async def listen(ledger: Ledger, told: list[Change]) -> None:
    async for changes in ledger.watch(JobFilter(), 0):
        told += changes


def count(now: Job) -> Step:
    return Step(replace(now, attempt=now.attempt + 1))
