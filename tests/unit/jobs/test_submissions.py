"""Jobs are checked, and stored once for each request id, whoever hangs up or is faster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from gateway.errors import (
    InvalidRequest,
    LedgerUnavailable,
    NotFound,
    RequestIdReused,
    Violation,
)
from gateway.jobs import tracker as tracker_module
from gateway.jobs.ledger import Ledger
from gateway.jobs.model import Job, JobFilter, JobLimits
from gateway.jobs.submissions import Wish
from gateway.platform import SubmitOrder
from gateway.plugins.model import Description
from gateway.store.database import Database
from gateway.store.jobs import JobStore, Record
from tests.support.clocks import FakeClock
from tests.support.fake_platform import FakePlatform
from tests.support.job_parts import jobs
from tests.unit.jobs.test_states import JOB

pytestmark = pytest.mark.unit


@dataclass
class Picky(FakePlatform):
    """A platform that checks jobs, and sells one machine."""

    algorithms: tuple[str, ...] = ("lora",)
    checked: list[str] = field(default_factory=list)

    async def describe(self) -> Description:
        """Say that it can check."""
        return Description(name="picky", capabilities=frozenset({"dry_run"}), algorithms=self.algorithms)

    async def check(self, order: SubmitOrder) -> None:
        """Find something wrong with a field that is its own, and with one that the gateway knows better."""
        self.checked.append(order.config.dataset_uri)
        raise InvalidRequest([Violation("config.rank", "is too high"), Violation("config.dataset_path", "what?")])


class EmptyShelf:
    async def resolve(self, uri: str) -> Path:
        raise NotFound("dataset", uri)


class Asked(JobStore):
    """Counts the questions for request ids."""

    questions = 0

    async def by_request_ids(self, request_ids: Sequence[str]) -> list[Job]:
        self.questions += 1
        return await super().by_request_ids(request_ids)


async def test_a_client_that_hangs_up_while_its_job_is_stored_leaves_no_job_that_nobody_attends(
    database: Database, clock: FakeClock, tmp_path: Path
) -> None:
    stored, go_on = asyncio.Event(), asyncio.Event()

    class Slow(JobStore):
        async def keep(self, records: Sequence[Record]) -> None:
            await super().keep(records)
            stored.set()
            await go_on.wait()

    ledger = Ledger(Slow(database), clock)
    await ledger.load()
    platform = FakePlatform()
    async with jobs(ledger, platform, tmp_path) as made:
        wish = Wish(connection_id="conn-1", config=JOB.config, request_id="wish-1")
        submitting = asyncio.create_task(made.submissions.submit(wish, dry_run=False))
        await until(stored.is_set)
        submitting.cancel()
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await submitting
        again, replayed = await made.submissions.submit(wish, dry_run=False)
        assert replayed
        await until(lambda: bool(platform.jobs))
        assert [order.job_id for order in platform.jobs.values()] == [again.id]


async def test_a_dry_run_names_all_that_is_wrong_at_once_whoever_finds_it(ledger: Ledger, tmp_path: Path) -> None:
    platform = Picky(algorithms=("qlora",))
    config = replace(JOB.config, dataset_uri="upload://abc")
    limits = JobLimits(max_price_micros_per_hour=1)
    async with jobs(ledger, platform, tmp_path, shelf=EmptyShelf(), cents=7) as made:
        for resource_id, blamed in (("a", "limits.max_price_micros_per_hour"), ("gone", "resource_id")):
            wish = Wish(connection_id="conn-1", config=config, resource_id=resource_id, limits=limits)
            with pytest.raises(InvalidRequest) as refused:
                await made.submissions.submit(wish, dry_run=True)
            fields = [violation.field for violation in refused.value.violations]
            assert fields == ["config.algorithm", "config.dataset_path", blamed, "config.rank"]
    assert platform.checked == ["upload://abc"] * 2
    assert await ledger.page(JobFilter(), "", 10, ascending=True) == []


async def test_a_dry_run_of_what_is_in_order_gives_the_priced_job_and_leaves_nothing(
    ledger: Ledger, tmp_path: Path
) -> None:
    platform = FakePlatform()
    limits = JobLimits(max_cost_micros=5_000_000, max_price_micros_per_hour=70_000)
    async with jobs(ledger, platform, tmp_path, cents=7) as made:
        wish = Wish(connection_id="conn-1", config=JOB.config, request_id="w", resource_id="a", limits=limits)
        job, replayed = await made.submissions.submit(wish, dry_run=True)
        assert (job.id, replayed, job.limits) == ("", False, limits)
        assert job.price is not None
        assert job.price.amount_micros == 70_000
        # The request id is still free.
        kept, replayed = await made.submissions.submit(wish, dry_run=False)
        assert (bool(kept.id), replayed) == (True, False)
    assert platform.count("check") == 0


async def test_a_job_that_was_stored_although_the_ledgers_answer_was_lost_is_attended(
    database: Database, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracker_module, "AGAIN_SECONDS", 0.01)

    class Cut(JobStore):
        """Loses the connection behind the commit, and before it the second time."""

        inserts = 0

        async def keep(self, records: Sequence[Record]) -> None:
            if not all(record.is_new for record in records):
                return await super().keep(records)
            self.inserts += 1
            if self.inserts == 1:
                await super().keep(records)
            lost = LedgerUnavailable("the connection was lost")
            lost.is_in_doubt = True
            raise lost

    ledger = Ledger(Cut(database), clock)
    await ledger.load()
    async with jobs(ledger, FakePlatform(), tmp_path) as made:
        for request_id in ("stored", "not-stored"):
            wish = Wish(connection_id="conn-1", config=JOB.config, request_id=request_id)
            with pytest.raises(LedgerUnavailable):
                await made.submissions.submit(wish, dry_run=False)
        await until(lambda: any(job.platform_job_id for job in ledger.open_jobs()))
        assert [job.request_id for job in ledger.open_jobs()] == ["stored"]


@pytest.mark.parametrize("is_checked_here", [True, False])
async def test_a_request_id_makes_one_job_whether_or_not_it_is_looked_up_beforehand(
    database: Database, clock: FakeClock, tmp_path: Path, *, is_checked_here: bool
) -> None:
    store = Asked(database)
    ledger = Ledger(store, clock)
    await ledger.load()
    platform = FakePlatform(described=Description(name="fake") if is_checked_here else None)
    wish = Wish(connection_id="conn-1", config=JOB.config, request_id="wish-1")
    async with jobs(ledger, platform, tmp_path) as made:
        first, was_replayed = await made.submissions.submit(wish, dry_run=False)
        assert (was_replayed, store.questions) == (False, 0 if is_checked_here else 1)
        together = await asyncio.gather(*(made.submissions.submit(wish, dry_run=False) for _ in range(3)))
        assert [(job.id, replayed) for job, replayed in together] == [(first.id, True)] * 3
        with pytest.raises(RequestIdReused):
            await made.submissions.submit(replace(wish, labels={"other": "one"}), dry_run=False)
    assert len(await ledger.page(JobFilter(), "", 10, ascending=True)) == 1


async def test_a_job_that_was_accepted_is_given_again_although_it_would_be_refused_by_now(
    ledger: Ledger, tmp_path: Path
) -> None:
    @dataclass
    class Changing(FakePlatform):
        algorithms: tuple[str, ...] = ()

        async def describe(self) -> Description:
            return Description(name="changing", algorithms=self.algorithms)

    platform = Changing(described=Description(name="changing"))
    wish = Wish(connection_id="conn-1", config=JOB.config, request_id="wish-1")
    async with jobs(ledger, platform, tmp_path) as made:
        first, _ = await made.submissions.submit(wish, dry_run=False)
        platform.algorithms = ("qlora",)
        again, replayed = await made.submissions.submit(wish, dry_run=False)
        assert (again.id, replayed) == (first.id, True)
        with pytest.raises(InvalidRequest):
            await made.submissions.submit(replace(wish, request_id="wish-2"), dry_run=False)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - one turn of the loop at a time
            await asyncio.sleep(0)
