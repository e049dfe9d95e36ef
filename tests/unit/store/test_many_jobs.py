"""What is asked of a ledger with many jobs must not read them all."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import event

from gateway.jobs import ledger as ledger_module
from gateway.jobs.ledger import Ledger
from gateway.jobs.model import Job, JobFilter, JobState, Metric
from gateway.store.database import Database
from gateway.store.jobs import Change, JobStore
from gateway.store.sqlite import SQLite
from tests.support.clocks import NOON, FakeClock
from tests.support.full_ledger import ended_job, fill

pytestmark = pytest.mark.unit

FEW, MANY = 100, 3000
PAGE = 10
FILTERS = [
    JobFilter(),
    JobFilter(states=frozenset({JobState.SUCCEEDED})),
    JobFilter(states=frozenset({JobState.FAILED, JobState.CANCELLED})),
    JobFilter(states=frozenset({JobState.RUNNING})),
    JobFilter(connector_id="lab"),
    JobFilter(connector_id="lab", states=frozenset({JobState.RUNNING})),
    JobFilter(connection_id="conn-1"),
    JobFilter(connection_id="conn-1", states=frozenset({JobState.SUCCEEDED})),
    JobFilter(connection_id="nowhere"),
    JobFilter(job_id=ended_job(7).id),
    JobFilter(labels={"team": "team-3"}),
    JobFilter(labels={"team": "nobody"}),
    JobFilter(labels={"team": "team-3"}, states=frozenset({JobState.SUCCEEDED})),
]


class Counted:
    """A ledger in a file that counts what SQLite does: unlike time, that is the same on every machine."""

    store: JobStore

    def __init__(self, path: Path) -> None:
        self.dialect = SQLite(path)
        self.steps = 0
        event.listen(self.dialect.reading.sync_engine, "connect", self._listen)

    def _listen(self, connection: sqlite3.Connection, _record: object) -> None:
        connection.set_progress_handler(self._note, 1)

    def _note(self) -> int:
        self.steps += 1
        return 0


async def counted(path: Path, jobs: int) -> AsyncIterator[Counted]:
    made = Counted(path)
    database = await Database.open(made.dialect)
    await fill(database, jobs)
    made.store = JobStore(database)
    yield made
    await database.close()


@pytest.fixture
async def few(tmp_path: Path) -> AsyncIterator[Counted]:
    async for made in counted(tmp_path / "few.db", FEW):
        yield made


@pytest.fixture
async def many(tmp_path: Path) -> AsyncIterator[Counted]:
    async for made in counted(tmp_path / "many.db", MANY):
        yield made


async def cost(side: Counted, job_filter: JobFilter, *, ascending: bool) -> int:
    before = side.steps
    await side.store.page(job_filter, "", PAGE, ascending=ascending)
    assert side.steps > before
    return side.steps - before


async def test_the_first_page_of_every_list_costs_the_same_of_few_jobs_and_of_many(few: Counted, many: Counted) -> None:
    for job_filter in FILTERS:
        for ascending in (False, True):
            base = await cost(few, job_filter, ascending=ascending)
            # Failed jobs and the teams are rare among few, so that their pages are not full.
            most = base * 1.5 + 60 * PAGE
            assert await cost(many, job_filter, ascending=ascending) <= most, (job_filter, ascending)


async def test_a_start_and_a_look_at_one_job_cost_the_same_of_few_jobs_and_of_many(few: Counted, many: Counted) -> None:
    found = []
    for side in (few, many):
        before = side.steps
        await side.store.last_change()
        assert await side.store.open_jobs() == []
        assert await side.store.get(ended_job(7).id) == ended_job(7)
        found.append(side.steps - before)
    assert found[1] <= found[0] * 1.5


@pytest.mark.parametrize("ascending", [True, False])
async def test_pages_of_every_filter_have_the_jobs_that_it_means_each_once(database: Database, ascending: bool) -> None:
    await fill(database, 120)
    store = JobStore(database)
    running = replace(ended_job(500), state=JobState.RUNNING)
    everything = [*(ended_job(number) for number in range(120)), running]
    ledger = Ledger(store, FakeClock())
    await ledger.load()
    await ledger.add(running)
    for job_filter in FILTERS:
        wanted = [job.id for job in everything if job_filter.matches(job)]
        found: list[str] = []
        while page := await store.page(job_filter, found[-1] if found else "", PAGE, ascending=ascending):
            found += [job.id for job in page]
        assert found == (wanted if ascending else wanted[::-1]), job_filter


async def test_several_labels_must_all_be_there(database: Database) -> None:
    ledger = Ledger(JobStore(database), FakeClock())
    await ledger.load()
    for number, labels in enumerate([{"a": "1"}, {"a": "1", "b": "2"}, {"b": "2"}, {"a": "2", "b": "2"}]):
        await ledger.add(replace(ended_job(number), labels=labels))
    found = await ledger.page(JobFilter(labels={"a": "1", "b": "2"}), "", 10, ascending=True)
    assert [job.id for job in found] == [ended_job(1).id]
    changes = [change.job.id async for change in _flat(ledger, JobFilter(labels={"a": "1"}))]
    assert changes == [ended_job(1).id]


async def _flat(ledger: Ledger, job_filter: JobFilter) -> AsyncIterator[Change]:
    watch = ledger.watch(job_filter, 1)
    for change in await anext(watch):
        yield change


async def test_a_watch_from_long_ago_comes_in_parts_and_misses_nothing_that_changes_meanwhile(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "HISTORY_JOBS", 7)
    await fill(database, 50)
    ledger = Ledger(JobStore(database), FakeClock())
    await ledger.load()
    watch = ledger.watch(JobFilter(), 10)
    seen: list[str] = []
    while len(seen) < 41:
        changes = await anext(watch)
        assert len(changes) <= 7
        seen += [change.job.id for change in changes]
        if len(seen) == 7:
            await ledger.add(_open_job())
    assert seen == [*(ended_job(number).id for number in range(10, 50)), _open_job().id]


async def test_metrics_are_read_on_from_a_place_while_more_come(database: Database) -> None:
    store = JobStore(database)

    def points(first: int, last: int) -> list[Metric]:
        steps = range(first, last)
        return [Metric(name="loss", step=step, value=step / 2, epoch=0.5, time=NOON, attempt=1) for step in steps]

    await store.add_metrics("job-1", points(0, 25))
    await store.add_metrics("job-2", points(0, 25))
    seen: list[int] = []
    place = 0
    for more in range(25, 75, 10):
        found, place = await store.metrics_behind("job-1", [], place, 10)
        seen += [point.step for point in found]
        # Some of them come again, and keep their places.
        await store.add_metrics("job-1", points(more - 5, more + 10))
    while found:
        found, place = await store.metrics_behind("job-1", [], place, 10)
        seen += [point.step for point in found]
    assert seen == list(range(75))


async def test_text_that_not_every_database_can_keep_and_names_without_end_are_kept_as_far_as_they_can(
    database: Database,
) -> None:
    ledger = Ledger(JobStore(database), FakeClock())
    await ledger.load()
    job = replace(_open_job(), message="a\0b", labels={"k\0": "v"})
    await ledger.add(job)
    fresh = Ledger(JobStore(database), FakeClock())
    await fresh.load()
    assert (await fresh.get(job.id)).message == "a\N{REPLACEMENT CHARACTER}b"
    assert [found.id for found in await ledger.page(JobFilter(labels={"k\0": "v"}), "", 1, ascending=True)] == [job.id]
    assert await ledger.page(JobFilter(job_id="\0"), "", 1, ascending=True) == []
    await ledger.add_metrics(job.id, [Metric(name="n" * 5000, step=2**62, value=1, epoch=0, time=NOON, attempt=1)])
    (point,) = [point async for point in ledger.metric_stream(job.id, [], 0)]
    assert (point.name, point.step) == ("n" * 100, 2**62)


def _open_job() -> Job:
    return replace(ended_job(999), state=JobState.QUEUED, ended_at=None)
