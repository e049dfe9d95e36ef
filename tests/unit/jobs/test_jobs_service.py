"""What clients can do with jobs, while things go wrong around them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from gateway.errors import (
    ConnectorDown,
    GatewayError,
    Reason,
    Unsupported,
)
from gateway.jobs import service
from gateway.jobs.ledger import Ledger
from gateway.jobs.model import JobState
from gateway.plugins.model import Description
from gateway.store.database import Database
from gateway.store.jobs import JobStore, Record
from tests.support.clocks import FakeClock
from tests.support.fake_platform import FakePlatform
from tests.support.job_parts import jobs
from tests.unit.jobs.test_states import JOB

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


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - one turn of the loop at a time
            await asyncio.sleep(0)


@pytest.mark.parametrize("is_gone", [True, False])
async def test_a_cancel_is_kept_although_the_connector_is_down_or_silent(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_gone: bool
) -> None:
    monkeypatch.setattr(service, "DESCRIBE_SECONDS", 0.0)
    await ledger.add(RUNNING)
    async with jobs(ledger, Described(is_gone=is_gone), tmp_path) as made, asyncio.timeout(10):
        assert (await made.jobs.cancel(JOB.id)).state is JobState.CANCELLING


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
    async with jobs(ledger, platform, tmp_path) as made, asyncio.timeout(10):
        assert (await made.jobs.cancel(JOB.id)).state is JobState.CANCELLING


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
    async with jobs(ledger, platform, tmp_path) as made, asyncio.timeout(10):
        with pytest.raises(GatewayError, match="cannot be written"):
            await made.jobs.cancel(JOB.id)
    assert platform.count("cancel") == 1


async def test_a_cancel_that_the_connector_cannot_do_is_refused_and_not_kept(ledger: Ledger, tmp_path: Path) -> None:
    await ledger.add(RUNNING)
    platform = Described(capabilities=frozenset())
    platform.answers.set()
    async with jobs(ledger, platform, tmp_path) as made:
        with pytest.raises(Unsupported):
            await made.jobs.cancel(JOB.id)
    assert (await ledger.get(JOB.id)).state is JobState.RUNNING
