"""The one place where jobs change."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from gateway.catalog.model import Price
from gateway.errors import NotFound, StorageFull
from gateway.jobs import states
from gateway.jobs.ledger import Ledger
from gateway.jobs.model import Job, JobFilter, JobLimits, JobReason, JobState, Metric, Observation, Progress
from gateway.jobs.states import Step
from gateway.store.database import Database
from gateway.store.jobs import Change, JobStore, Record
from tests.support.clocks import NOON, FakeClock
from tests.unit.jobs.test_states import JOB

pytestmark = pytest.mark.unit


def job(number: int, **changes: object) -> Job:
    named = replace(JOB, id=f"job-{number:03}", submission_token=f"peft-{number}")
    return replace(named, **changes)  # type: ignore[arg-type]


def running(now: Job) -> Step:
    return states.observe(now, Observation(state=JobState.RUNNING, progress=Progress(step=1)), NOON)


async def test_a_job_comes_back_from_the_database_as_it_was(ledger: Ledger, database: Database) -> None:
    rich = job(
        1,
        request_id="wish",
        labels={"team": "a"},
        limits=JobLimits(max_cost_micros=5, max_duration=timedelta(hours=1, microseconds=3)),
        price=Price(resource_id="r", not_priced=False, amount_micros=7, as_of=NOON),
        state=JobState.FAILED,
        reason=JobReason.OUT_OF_MEMORY,
        progress=Progress(percentage=12.5, step=1, total_steps=8, estimated_remaining_seconds=0.5),
        exit_code=0,
        ended_at=NOON,
        is_log_open=False,
    )
    await ledger.add(rich)
    fresh = Ledger(JobStore(database), FakeClock())
    assert await fresh.load() == []
    assert await fresh.get("job-001") == rich


async def test_only_open_jobs_are_taken_up_again(ledger: Ledger, database: Database) -> None:
    await ledger.add(job(1))
    await ledger.add(job(2))
    await ledger.change("job-002", lambda now: states.fail(now, JobReason.LOST, "gone", NOON))
    fresh = Ledger(JobStore(database), FakeClock())
    # The other one has ended, but the rest of its log may be had still.
    assert [found.id for found in await fresh.load()] == ["job-001", "job-002"]
    assert [found.id for found in fresh.open_jobs()] == ["job-001"]
    await ledger.close_log("job-002", 7)
    assert [found.id for found in await Ledger(JobStore(database), FakeClock()).load()] == ["job-001"]
    assert (await ledger.get("job-002")).last_log_seq == 7


async def test_a_look_that_finds_nothing_new_is_neither_a_revision_nor_news(ledger: Ledger, clock: FakeClock) -> None:
    await ledger.add(job(1))
    first = await ledger.change("job-001", running)
    clock.advance(60)
    seen = Observation(state=JobState.RUNNING, progress=Progress(step=1))
    again = await ledger.change("job-001", lambda now: states.observe(now, seen, clock.now()))
    assert again.revision == first.revision
    assert (await ledger.get("job-001")).observed_at == clock.now()


async def test_events_are_numbered_without_holes_also_behind_the_jobs_end(ledger: Ledger) -> None:
    await ledger.add(job(1))
    await ledger.change("job-001", running)
    await ledger.change("job-001", lambda now: states.fail(now, JobReason.LOST, "gone", NOON))
    await ledger.change("job-001", running)
    events = await ledger.events("job-001", 0, 100)
    assert [(event.seq, event.kind) for event in events] == [
        (1, "submitted"),
        (2, "state_changed"),
        (3, "state_changed"),
        (4, "report_ignored"),
    ]


async def test_changes_of_one_job_at_the_same_time_all_count(ledger: Ledger) -> None:
    await ledger.add(job(1))

    def count(now: Job) -> Step:
        return Step(replace(now, last_log_seq=now.last_log_seq + 1))

    await asyncio.gather(*(ledger.change("job-001", count) for _ in range(50)))
    changed = await ledger.get("job-001")
    assert (changed.last_log_seq, changed.revision) == (50, 51)


async def test_a_request_id_is_taken_once(ledger: Ledger) -> None:
    await ledger.add(job(1, request_id="wish"))
    with pytest.raises(IntegrityError):
        await ledger.add(job(2, request_id="wish"))
    found = await ledger.by_request_id("wish")
    assert found is not None
    assert found.id == "job-001"
    with pytest.raises(NotFound):
        await ledger.get("job-002")


async def test_pages_stay_right_while_jobs_are_added_and_filters_go_across_them(ledger: Ledger) -> None:
    for number in range(1, 31):
        await ledger.add(job(number, labels={"parity": "even" if number % 2 == 0 else "odd"}))
    wanted = JobFilter(labels={"parity": "even"})
    first = await ledger.page(wanted, "", 7, ascending=False)
    await ledger.add(job(40, labels={"parity": "even"}))
    rest = await ledger.page(wanted, first[-1].id, 100, ascending=False)
    assert [found.id for found in first + rest] == [f"job-{number:03}" for number in range(30, 0, -2)]


async def test_a_watcher_gets_open_jobs_then_changes_and_can_go_on_from_a_revision(ledger: Ledger) -> None:
    await ledger.add(job(1))
    watch = ledger.watch(JobFilter(), 0)
    async with asyncio.timeout(5):
        (before,) = await anext(watch)
        await ledger.change("job-001", running)
        await ledger.add(job(2))
        changes = await anext(watch)
    await watch.aclose()  # type: ignore[attr-defined]
    assert before.job.state is JobState.SUBMITTING
    assert [(change.job.id, change.job.state) for change in changes] == [
        ("job-001", JobState.RUNNING),
        ("job-002", JobState.SUBMITTING),
    ]
    resumed = ledger.watch(JobFilter(), before.number)
    assert [change.number for change in await anext(resumed)] == [change.number for change in changes]


async def test_metrics_that_are_no_numbers_are_kept_and_a_repeated_point_replaces_the_old_one(ledger: Ledger) -> None:
    def point(step: int, value: float) -> Metric:
        return Metric(name="loss", step=step, value=value, epoch=0.5, time=NOON, attempt=1)

    await ledger.add(job(1))
    await ledger.add_metrics("job-001", [point(1, math.nan), point(2, math.inf), point(3, 1.0)])
    await ledger.add_metrics("job-001", [point(3, 0.5)])
    values = [found.value async for found in ledger.metric_stream("job-001", ["loss"], 0)]
    assert math.isnan(values[0])
    assert values[1:] == [math.inf, 0.5]


async def test_a_client_that_hangs_up_during_a_change_leaves_memory_and_database_the_same(
    database: Database, clock: FakeClock
) -> None:
    stored, go_on = asyncio.Event(), asyncio.Event()

    class Slow(JobStore):
        async def keep(self, records: Sequence[Record]) -> None:
            await super().keep(records)
            if not records[0].is_new:
                stored.set()
                await go_on.wait()

    slow = Ledger(Slow(database), clock)
    await slow.load()
    await slow.add(job(1))
    changing = asyncio.create_task(slow.change("job-001", running))
    async with asyncio.timeout(5):
        await stored.wait()
        changing.cancel()
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await changing
    assert await slow.get("job-001") == await JobStore(database).get("job-001")
    assert (await slow.get("job-001")).state is JobState.RUNNING


async def test_a_sign_of_life_tells_how_far_history_is_so_that_nothing_is_missed_after_a_cut(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ledger.add(job(1))
    await ledger.change("job-001", lambda now: states.fail(now, JobReason.LOST, "gone", NOON))
    watch = ledger.watch(JobFilter(), 0)
    assert await anext(watch) == []
    here = ledger.published
    await ledger.add(job(2))
    await ledger.change("job-002", lambda now: states.fail(now, JobReason.LOST, "gone", NOON))
    resumed = ledger.watch(JobFilter(), here)
    assert [change.job.id for change in await anext(resumed)] == ["job-002"]


async def test_metrics_come_in_the_order_of_their_arrival_and_each_once(ledger: Ledger) -> None:
    def point(name: str, step: int) -> Metric:
        return Metric(name=name, step=step, value=1.0, epoch=0.5, time=NOON, attempt=1)

    await ledger.add(job(1))
    await ledger.add_metrics("job-001", [point("loss", 1), point("eval", 1)])
    first, place = await ledger.metrics_behind("job-001", [], 0, 1)
    await ledger.add_metrics("job-001", [point("loss", 1), point("loss", 2)])
    rest, place = await ledger.metrics_behind("job-001", [], place, 10)
    assert [(found.name, found.step) for found in first + rest] == [("loss", 1), ("eval", 1), ("loss", 2)]
    assert await ledger.metrics_behind("job-001", ["eval"], place, 10) == ([], place)


async def test_a_report_that_is_ignored_again_and_again_is_noted_once(ledger: Ledger) -> None:
    await ledger.add(job(1))
    await ledger.change("job-001", running)
    backward = Observation(state=JobState.QUEUED)
    for _ in range(3):
        await ledger.change("job-001", lambda now: states.observe(now, backward, NOON))
    kinds = [event.kind for event in await ledger.events("job-001", 0, 100)]
    assert kinds == ["submitted", "state_changed", "report_ignored"]


async def test_an_event_that_could_not_be_stored_is_stored_when_it_comes_again(
    database: Database, clock: FakeClock
) -> None:
    class Full(JobStore):
        refusals = 1

        async def keep(self, records: Sequence[Record]) -> None:
            if self.refusals and not records[0].is_new:
                self.refusals -= 1
                raise StorageFull("the ledger cannot be written")
            await super().keep(records)

    ledger = Ledger(Full(database), clock)
    await ledger.load()
    await ledger.add(job(1))
    for _ in range(2):
        with suppress(StorageFull):
            await ledger.change("job-001", lambda now: Step(now, "submit_started", "the platform is called"))
    last = await ledger.last_event("job-001", ("submit_started",))
    assert last is not None


async def test_changes_are_told_in_the_order_of_their_numbers_so_that_whoever_goes_on_behind_one_misses_none(
    database: Database, clock: FakeClock
) -> None:
    storing, go_on = asyncio.Event(), asyncio.Event()

    class Slow(JobStore):
        async def keep(self, records: Sequence[Record]) -> None:
            if not records[0].is_new:
                storing.set()
                await go_on.wait()
            await super().keep(records)

    ledger = Ledger(Slow(database), clock)
    await ledger.load()
    await ledger.add(job(1))
    watch = ledger.watch(JobFilter(), ledger.published)
    async with asyncio.timeout(5):
        assert await anext(watch) == []
        changing = asyncio.create_task(ledger.change("job-001", running))
        await storing.wait()
        adding = asyncio.create_task(ledger.add(job(2)))
        for number in range(3, 9):
            # A read of the database takes as long as a store would.
            assert await ledger.events(f"job-{number:03}", 0, 1) == []
        go_on.set()
        await asyncio.gather(changing, adding)
        told: list[tuple[str, int]] = []
        while len(told) < 2:
            told += [(change.job.id, change.number) for change in await anext(watch)]
    assert [name for name, _ in told] == ["job-001", "job-002"]
    resumed = ledger.watch(JobFilter(), told[0][1])
    assert [change.job.id for change in await anext(resumed)] == ["job-002"]


async def test_a_watcher_that_reads_history_while_a_job_changes_never_sees_it_go_back(
    database: Database, clock: FakeClock
) -> None:
    class Overtaken(JobStore):
        """Reads a history in which a change is stored that nobody was told of yet."""

        ledger: Ledger
        is_read = False

        async def changed_since(self, number: int, job_filter: JobFilter, limit: int) -> list[Change]:
            if self.is_read:
                return []
            self.is_read = True
            await self.ledger.change("job-001", running)
            (told,) = await super().changed_since(number, job_filter, limit)
            return [Change(replace(told.job, attempt=2), told.number + 1)]

    store = Overtaken(database)
    store.ledger = ledger = Ledger(store, clock)
    await ledger.load()
    await ledger.add(job(1))
    watch = ledger.watch(JobFilter(), ledger.published)
    async with asyncio.timeout(5):
        assert [change.job.attempt for change in await anext(watch)] == [2]
        # The change that history has overtaken was told meanwhile, and is not news any more.
        assert await anext(watch) == []


async def test_a_watch_from_a_point_that_history_has_not_reached_begins_with_the_open_jobs(ledger: Ledger) -> None:
    await ledger.add(job(1))
    watch = ledger.watch(JobFilter(), ledger.published + 100)
    async with asyncio.timeout(5):
        assert [change.job.id for change in await anext(watch)] == ["job-001"]
        await ledger.change("job-001", running)
        assert [change.job.state for change in await anext(watch)] == [JobState.RUNNING]


async def test_whoever_waits_for_metrics_is_told_at_once_and_nobody_else(ledger: Ledger) -> None:
    for number in (1, 2):
        await ledger.add(job(number))
    point = Metric(name="loss", step=1, value=1.0, epoch=0.5, time=NOON, attempt=1)
    waiting = ledger.watch(JobFilter(job_id="job-001"), 0, hears_metrics=True)
    others = [
        ledger.watch(JobFilter(job_id="job-001"), 0),
        ledger.watch(JobFilter(job_id="job-002"), 0, hears_metrics=True),
    ]
    async with asyncio.timeout(5):
        for watch in (waiting, *others):
            await anext(watch)
        tasks = [asyncio.ensure_future(anext(watch)) for watch in others]
        await ledger.add_metrics("job-001", [point])
        assert await anext(waiting) == []
        assert not any(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
