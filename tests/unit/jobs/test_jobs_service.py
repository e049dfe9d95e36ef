"""What clients can do with jobs, while things go wrong around them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from gateway.catalog.model import Price
from gateway.connections.model import Connection
from gateway.errors import (
    ConnectorDown,
    GatewayError,
    InvalidRequest,
    LedgerUnavailable,
    NotFound,
    Reason,
    Unsupported,
    Violation,
)
from gateway.jobs import service
from gateway.jobs import tracker as tracker_module
from gateway.jobs.attendant import Surroundings
from gateway.jobs.ledger import Ledger
from gateway.jobs.model import JobFilter, JobLimits, JobState
from gateway.jobs.order import DatasetShelf, Orders
from gateway.jobs.service import Jobs, Wish
from gateway.jobs.submitter import Submitter
from gateway.jobs.tracker import Tracker
from gateway.logs.store import LogStore
from gateway.platform import SubmitOrder
from gateway.plugins.model import Description
from gateway.store.database import Database
from gateway.store.jobs import JobStore, Record
from tests.support.clocks import NOON, FakeClock
from tests.support.fake_platform import FakePlatform, hourly
from tests.support.log_source import OnePlatform
from tests.unit.jobs.test_states import JOB
from tests.unit.jobs.test_submitter import NoShelf

pytestmark = pytest.mark.unit

RUNNING = replace(JOB, state=JobState.RUNNING, platform_job_id="remote-1")


@dataclass
class Described(FakePlatform):
    """A platform behind a connector that may be down, and can do what it says."""

    capabilities: frozenset[str] = frozenset({"cancel_job"})
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    is_gone: bool = False

    async def describe(self) -> Description:
        """Say what it can do, unless it is down."""
        if self.is_gone:
            raise ConnectorDown("the process does not run")
        await self.answers.wait()
        return Description(name="described", capabilities=self.capabilities)


async def nothing(*_: str) -> list[str]:
    return []


@asynccontextmanager
async def jobs(
    ledger: Ledger, platform: FakePlatform, folder: Path, *, shelf: DatasetShelf | None = None, cents: int = 0
) -> AsyncIterator[tuple[Jobs, Tracker]]:
    platforms, clock, orders = OnePlatform(platform), FakeClock(), Orders(shelf or NoShelf())

    async def find_connection(_: str) -> Connection:
        return Connection(id="conn-1", connector_id="fake", name="fake", created_at=NOON)

    async def find_price(_: str, resource_id: str) -> Price:
        if resource_id == "gone":
            raise NotFound("resource", resource_id)
        return hourly(resource_id, cents * 10_000)

    tracker = Tracker(
        Surroundings(
            ledger=ledger,
            submitter=Submitter(ledger, platforms, orders, clock),
            platforms=platforms,
            logs=LogStore(folder),
            clock=clock,
            secrets=nothing,
            drop_secrets=nothing,
            list_artifacts=nothing,
            note_rejected=nothing,
        )
    )
    made = Jobs(
        ledger=ledger,
        tracker=tracker,
        platforms=platforms,
        clock=clock,
        find_connection=find_connection,
        find_price=find_price,
        orders=orders,
    )
    try:
        yield made, tracker
    finally:
        await tracker.stop()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - one turn of the loop at a time
            await asyncio.sleep(0)


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
    async with jobs(ledger, platform, tmp_path) as (made, _):
        wish = Wish(connection_id="conn-1", config=JOB.config, request_id="wish-1")
        submitting = asyncio.create_task(made.submit(wish, dry_run=False))
        await until(stored.is_set)
        submitting.cancel()
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await submitting
        again, replayed = await made.submit(wish, dry_run=False)
        assert replayed
        await until(lambda: bool(platform.jobs))
        assert [order.job_id for order in platform.jobs.values()] == [again.id]


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


async def test_a_dry_run_names_all_that_is_wrong_at_once_whoever_finds_it(ledger: Ledger, tmp_path: Path) -> None:
    platform = Picky(algorithms=("qlora",))
    config = replace(JOB.config, dataset_uri="upload://abc")
    limits = JobLimits(max_price_micros_per_hour=1)
    async with jobs(ledger, platform, tmp_path, shelf=EmptyShelf(), cents=7) as (made, _):
        for resource_id, blamed in (("a", "limits.max_price_micros_per_hour"), ("gone", "resource_id")):
            wish = Wish(connection_id="conn-1", config=config, resource_id=resource_id, limits=limits)
            with pytest.raises(InvalidRequest) as refused:
                await made.submit(wish, dry_run=True)
            fields = [violation.field for violation in refused.value.violations]
            assert fields == ["config.algorithm", "config.dataset_path", blamed, "config.rank"]
    assert platform.checked == ["upload://abc"] * 2
    assert await ledger.page(JobFilter(), "", 10, ascending=True) == []


async def test_a_dry_run_of_what_is_in_order_gives_the_priced_job_and_leaves_nothing(
    ledger: Ledger, tmp_path: Path
) -> None:
    platform = FakePlatform()
    limits = JobLimits(max_cost_micros=5_000_000, max_price_micros_per_hour=70_000)
    async with jobs(ledger, platform, tmp_path, cents=7) as (made, _):
        wish = Wish(connection_id="conn-1", config=JOB.config, request_id="w", resource_id="a", limits=limits)
        job, replayed = await made.submit(wish, dry_run=True)
        assert (job.id, replayed, job.limits) == ("", False, limits)
        assert job.price is not None
        assert job.price.amount_micros == 70_000
        # The request id is still free.
        kept, replayed = await made.submit(wish, dry_run=False)
        assert (bool(kept.id), replayed) == (True, False)
    assert platform.count("check") == 0


@pytest.mark.parametrize("is_gone", [True, False])
async def test_a_cancel_is_kept_although_the_connector_is_down_or_silent(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_gone: bool
) -> None:
    monkeypatch.setattr(service, "DESCRIBE_SECONDS", 0.0)
    await ledger.add(RUNNING)
    async with jobs(ledger, Described(is_gone=is_gone), tmp_path) as (made, _), asyncio.timeout(10):
        assert (await made.cancel(JOB.id)).state is JobState.CANCELLING


async def test_a_cancel_does_not_wait_long_for_a_platform_that_hangs(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hanging(Described):
        async def cancel(self, platform_job_id: str) -> None:
            await asyncio.Event().wait()

    monkeypatch.setattr(service, "CANCEL_SECONDS", 0.0)
    await ledger.add(RUNNING)
    platform = Hanging()
    platform.answers.set()
    async with jobs(ledger, platform, tmp_path) as (made, _), asyncio.timeout(10):
        assert (await made.cancel(JOB.id)).state is JobState.CANCELLING


@pytest.mark.parametrize("reason", [Reason.STORAGE_FULL, Reason.OVERLOADED])
async def test_a_cancel_reaches_the_platform_although_it_cannot_be_noted(
    database: Database, clock: FakeClock, tmp_path: Path, reason: Reason
) -> None:
    class Full(JobStore):
        async def keep(self, records: Sequence[Record]) -> None:
            if not all(record.is_new for record in records):
                raise GatewayError("the ledger cannot be written", reason=reason)
            await super().keep(records)

    ledger = Ledger(Full(database), clock)
    await ledger.load()
    await ledger.add(RUNNING)
    platform = Described()
    platform.answers.set()
    async with jobs(ledger, platform, tmp_path) as (made, _), asyncio.timeout(10):
        with pytest.raises(GatewayError, match="cannot be written"):
            await made.cancel(JOB.id)
    assert platform.count("cancel") == 1


async def test_a_cancel_that_the_connector_cannot_do_is_refused_and_not_kept(ledger: Ledger, tmp_path: Path) -> None:
    await ledger.add(RUNNING)
    platform = Described(capabilities=frozenset())
    platform.answers.set()
    async with jobs(ledger, platform, tmp_path) as (made, _):
        with pytest.raises(Unsupported):
            await made.cancel(JOB.id)
    assert (await ledger.get(JOB.id)).state is JobState.RUNNING


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
    async with jobs(ledger, FakePlatform(), tmp_path) as (made, _):
        for request_id in ("stored", "not-stored"):
            wish = Wish(connection_id="conn-1", config=JOB.config, request_id=request_id)
            with pytest.raises(LedgerUnavailable):
                await made.submit(wish, dry_run=False)
        await until(lambda: any(job.platform_job_id for job in ledger.open_jobs()))
        assert [job.request_id for job in ledger.open_jobs()] == ["stored"]
