"""Ended jobs that are kept in memory, beside a database that has the truth."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from gateway.jobs import ended
from gateway.jobs.ended import MOST_DOCUMENT_CHARS, EndedJobs
from gateway.jobs.ledger import Ledger
from gateway.jobs.model import Job, JobFilter, JobState
from gateway.jobs.states import Step
from gateway.store.database import Database
from gateway.store.jobs import MOST_PARAMETERS, JobStore
from tests.support.clocks import FakeClock
from tests.support.full_ledger import ended_job, fill
from tests.unit.jobs.test_ledger import job

pytestmark = pytest.mark.unit

ENDED = job(1, state=JobState.SUCCEEDED)


class Watched(JobStore):
    """Counts what is read, and can be held up behind a read."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.reads = 0
        self.has_read = asyncio.Event()
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    async def get_many(self, job_ids: Sequence[str]) -> list[Job]:
        found = await super().get_many(job_ids)
        self.reads += 1
        self.has_read.set()
        await self.may_go_on.wait()
        return found


@pytest.fixture
def store(database: Database) -> Watched:
    return Watched(database)


@pytest.fixture
async def kept(store: Watched) -> Ledger:
    ledger = Ledger(store, FakeClock())
    await ledger.load()
    return ledger


async def test_many_jobs_are_found_whether_they_are_open_or_ended_kept_or_not(
    database: Database, store: Watched, kept: Ledger
) -> None:
    await fill(database, MOST_PARAMETERS + 20)
    still_open = job(1, submission_token="peft-open")
    await kept.add(still_open)
    everything = {one.id: one for one in (*map(ended_job, range(MOST_PARAMETERS + 20)), still_open)}
    assert await kept.get_many([*everything, "none"]) == everything
    assert await kept.get_many(list(everything)) == everything
    assert store.reads == 1


async def test_an_ended_job_that_changes_is_shown_as_it_then_is(store: Watched, kept: Ledger) -> None:
    await kept.add(ENDED)
    assert await kept.get_many([ENDED.id]) == {ENDED.id: ENDED}
    await kept.close_log(ENDED.id, 7)
    closed = replace(ENDED, is_log_open=False, last_log_seq=7)
    assert await kept.get_many([ENDED.id]) == {ENDED.id: closed}
    changed = await kept.change(ENDED.id, lambda now: Step(replace(now, message="told late")))
    assert (changed.message, changed.last_log_seq) == ("told late", 7)
    assert await kept.get(ENDED.id) == changed
    assert await kept.page(JobFilter(), "", 1, ascending=True) == [changed]
    assert store.reads == 2


async def test_what_was_read_before_a_change_is_not_kept_behind_it(store: Watched, kept: Ledger) -> None:
    await kept.add(ENDED)
    store.may_go_on.clear()
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        early = tasks.create_task(kept.get_many([ENDED.id]))
        await store.has_read.wait()
        await kept.close_log(ENDED.id, 7)
        store.may_go_on.set()
        assert (await early)[ENDED.id].is_log_open
    assert not (await kept.get(ENDED.id)).is_log_open


def test_only_so_many_are_kept_those_used_last_and_none_that_is_large_or_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ended, "MOST_JOBS", 2)
    jobs = EndedJobs()
    jobs.offer([job(1, state=JobState.FAILED), job(2, state=JobState.FAILED)], jobs.age)
    assert jobs.get("job-001")
    large = replace(ENDED.config, document="x" * (MOST_DOCUMENT_CHARS + 1))
    jobs.offer([job(3, state=JobState.FAILED), job(4), job(5, state=JobState.FAILED, config=large)], jobs.age)
    assert [number for number in range(1, 6) if jobs.get(f"job-{number:03}")] == [1, 3]
