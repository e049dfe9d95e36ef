"""The parts that take on jobs and look after them, around a platform in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.catalog.model import Price
from gateway.connections.model import Connection
from gateway.errors import NotFound, StorageFull
from gateway.jobs.attendant import Surroundings
from gateway.jobs.ledger import Ledger
from gateway.jobs.order import DatasetShelf, Orders
from gateway.jobs.service import Jobs
from gateway.jobs.submissions import Submissions
from gateway.jobs.submitter import Submitter
from gateway.jobs.tracker import Tracker
from gateway.jobs.wishes import Wishes
from gateway.logs.store import LogStore
from gateway.redaction import Redactor
from gateway.store.jobs import JobStore, Record
from tests.support.clocks import NOON, FakeClock
from tests.support.fake_platform import FakePlatform, hourly
from tests.support.log_source import OnePlatform


@dataclass(frozen=True, slots=True)
class Made:
    """What was put together."""

    jobs: Jobs
    submissions: Submissions
    tracker: Tracker


class NoShelf:
    """Has no datasets."""

    async def resolve(self, uri: str) -> Path:
        """Find nothing."""
        raise NotImplementedError(uri)


async def nothing(*_: str) -> list[str]:
    return []


async def no_secrets(_: str) -> Redactor:
    return Redactor()


class FullStore(JobStore):
    """A ledger whose disk can be full."""

    is_full = False

    async def keep(self, records: Sequence[Record]) -> None:
        """Refuse while it is."""
        if self.is_full:
            raise StorageFull("the ledger cannot be written")
        await super().keep(records)


async def until(so: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something is so that a thread of the database writes."""
    async with asyncio.timeout(10):
        while not await so():  # noqa: ASYNC110 - what is waited for is written by a thread of the database
            await asyncio.sleep(0.001)


def surroundings(
    ledger: Ledger,
    platforms: OnePlatform,
    orders: Orders,
    clock: FakeClock,
    folder: Path,
    review: Callable[[str], Awaitable[list[str]]] = nothing,
) -> Surroundings:
    """Give attendants what they need."""
    return Surroundings(
        ledger=ledger,
        submitter=Submitter(ledger, platforms, orders, clock),
        wishes=Wishes(ledger, platforms, clock),
        platforms=platforms,
        logs=LogStore(folder),
        clock=clock,
        find_redactor=no_secrets,
        drop_secrets=nothing,
        list_artifacts=review,
        note_rejected=nothing,
    )


@asynccontextmanager
async def jobs(
    ledger: Ledger, platform: FakePlatform, folder: Path, *, shelf: DatasetShelf | None = None, cents: int = 0
) -> AsyncIterator[Made]:
    platforms, clock, orders = OnePlatform(platform), FakeClock(), Orders(shelf or NoShelf())

    async def find_connection(_: str) -> Connection:
        return Connection(id="conn-1", connector_id="fake", name="fake", created_at=NOON)

    async def find_price(_: str, resource_id: str) -> Price:
        if resource_id == "gone":
            raise NotFound("resource", resource_id)
        return hourly(resource_id, cents * 10_000)

    tracker = Tracker(surroundings(ledger, platforms, orders, clock, folder))
    submissions = Submissions(
        ledger=ledger,
        tracker=tracker,
        platforms=platforms,
        clock=clock,
        find_connection=find_connection,
        find_price=find_price,
        orders=orders,
    )
    try:
        yield Made(Jobs(ledger=ledger, tracker=tracker, platforms=platforms, clock=clock), submissions, tracker)
    finally:
        await tracker.stop()
