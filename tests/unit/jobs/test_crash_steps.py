"""A gateway that dies at every single write of a job's life, just before it and just behind it.

What is dead writes nothing any more: its writes fail. The next gateway has the database and the platform alone.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.errors import NotFound
from gateway.jobs import submitter
from gateway.jobs.ledger import Ledger
from gateway.jobs.model import Job, JobReason, JobState, Observation
from gateway.jobs.submissions import Wish
from gateway.logs.wire import LogLine
from gateway.platform import SourceBatch, SubmitOrder
from gateway.plugins.model import Description, SubmitSafety
from gateway.store.database import Database
from gateway.store.jobs import JobStore, Record
from gateway.store.sqlite import SQLite
from tests.support.clocks import FakeClock
from tests.support.fake_platform import FakePlatform
from tests.support.job_parts import Made, jobs
from tests.unit.jobs.test_states import JOB

pytestmark = [pytest.mark.unit, pytest.mark.timeout(120)]

WISH = Wish(connection_id="conn-1", config=JOB.config, request_id="wish-1")
NEVER = 10**6


class Dead(Exception):
    """Raised by every write of a gateway that is dead."""


class Dying(JobStore):
    """A store whose gateway dies at one of its writes."""

    def __init__(self, database: Database, dies_at: int, *, is_late: bool) -> None:
        super().__init__(database)
        self.writes = 0
        self.died = asyncio.Event()
        self._dies_at = dies_at
        self._is_late = is_late

    async def keep(self, records: Sequence[Record]) -> None:
        await self._step(super().keep(records))

    async def close_log(self, job_id: str, last_seq: int) -> None:
        await self._step(super().close_log(job_id, last_seq))

    async def _step(self, write: Coroutine[object, object, None]) -> None:
        self.writes += 1
        is_last = self.writes == self._dies_at
        if self.died.is_set() or (is_last and not self._is_late):
            write.close()
            self._die()
        await write
        if is_last:
            self._die()

    def _die(self) -> None:
        self.died.set()
        raise Dead


@dataclass
class Machines(FakePlatform):
    """Rents a machine with every call, but for KEYED; it runs for two looks, or until it is cancelled."""

    safety: SubmitSafety = SubmitSafety.NONE
    is_endless: bool = False
    looks: dict[str, int] = field(default_factory=dict)
    ended: dict[str, JobState] = field(default_factory=dict)

    async def describe(self) -> Description:
        """Say how safe a submission is."""
        capabilities = frozenset({"cancel_job", "batch_get_job_status"})
        often = timedelta(milliseconds=1)
        return Description(
            name="machines", submit_safety=self.safety, capabilities=capabilities, min_poll_interval=often
        )

    async def submit(self, order: SubmitOrder) -> str:
        """Rent one."""
        self.calls.append("submit")
        known = await self.find(order.submission_token) if self.safety is SubmitSafety.KEYED else ""
        machine = known or f"machine-{len(self.jobs) + 1}"
        self.jobs[machine] = order
        return machine

    async def look(self, platform_job_ids: Sequence[str]) -> Mapping[str, Observation | Exception]:
        """See how far they are."""
        return {machine: self._look(machine) for machine in platform_job_ids}

    async def cancel(self, platform_job_id: str) -> None:
        """End one."""
        self.ended.setdefault(platform_job_id, JobState.CANCELLED)

    async def logs(self, platform_job_id: str, *, cursor: str, after_line: int) -> AsyncGenerator[SourceBatch, None]:
        """Give three lines."""
        yield SourceBatch([LogLine(text=f"line {number}") for number in range(3)], "", is_end=True)

    def _look(self, machine: str) -> Observation | Exception:
        if machine not in self.jobs:
            return NotFound("job", machine)
        self.looks[machine] = self.looks.get(machine, 0) + 1
        if not self.is_endless and self.looks[machine] > 2:
            self.ended.setdefault(machine, JobState.SUCCEEDED)
        return Observation(state=self.ended.get(machine, JobState.RUNNING))


async def fresh(folder: Path, name: str) -> Path:
    """Make a folder with an empty ledger; a copy is made faster than the migrations are run."""
    template = folder / "ledger.db"
    if not await asyncio.to_thread(template.exists):
        await (await Database.open(SQLite(template))).close()
    made = folder / name
    await asyncio.to_thread(made.mkdir)
    await asyncio.to_thread(shutil.copy, template, made)
    return made


async def wished(made: Made, *, is_cancelled: bool) -> str:
    """Do what a client does, and does again after a crash."""
    job, _ = await made.submissions.submit(WISH, dry_run=False)
    if is_cancelled:
        await made.jobs.cancel(job.id)
    return job.id


async def until_ended(made: Made, job_id: str) -> Job:
    while not (job := await made.jobs.get(job_id)).state.is_terminal or job.is_log_open:  # noqa: ASYNC110 - by other tasks
        await asyncio.sleep(0.001)
    return job


async def a_life(store: Dying, platform: Machines, folder: Path, *, is_cancelled: bool) -> Job | None:
    """Let a gateway live until the job has ended, or until it dies."""
    ledger = Ledger(store, FakeClock())
    left = await ledger.load()
    async with jobs(ledger, platform, folder) as made:
        living = asyncio.create_task(_lived(made, left, is_cancelled=is_cancelled))
        dying = asyncio.create_task(store.died.wait())
        try:
            async with asyncio.timeout(20):
                await asyncio.wait([living, dying], return_when=asyncio.FIRST_COMPLETED)
            return None if store.died.is_set() else living.result()
        finally:
            living.cancel()
            dying.cancel()
            await asyncio.gather(living, dying, return_exceptions=True)


async def _lived(made: Made, left: list[Job], *, is_cancelled: bool) -> Job:
    made.tracker.start(left)
    return await until_ended(made, await wished(made, is_cancelled=is_cancelled))


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submitter, "RETRY_FIRST_SECONDS", 0.0)
    monkeypatch.setattr(submitter, "RETRY_CAP_SECONDS", 0.0)
    monkeypatch.setattr(submitter, "LOOK_AFTER_SECONDS", (0.0, 0.0))


@pytest.mark.parametrize("is_cancelled", [False, True], ids=["submit", "cancel"])
@pytest.mark.parametrize("safety", SubmitSafety)
async def test_a_gateway_that_dies_at_any_write_loses_no_job_and_leaves_no_machine(
    tmp_path: Path, safety: SubmitSafety, *, is_cancelled: bool
) -> None:
    steps = await _writes_of_a_life(await fresh(tmp_path, "whole"), safety, is_cancelled=is_cancelled)
    assert steps >= 3
    # Deaths are noted with all that led to them, which takes longer than the lives.
    with capture_logs():
        for dies_at in range(1, steps + 1):
            for is_late in (False, True):
                folder = await fresh(tmp_path, f"{dies_at}-{is_late}")
                await _die_and_live_again(folder, safety, dies_at, is_late=is_late, is_cancelled=is_cancelled)


async def _writes_of_a_life(folder: Path, safety: SubmitSafety, *, is_cancelled: bool) -> int:
    database = await Database.open(SQLite(folder / "ledger.db"))
    store = Dying(database, NEVER, is_late=False)
    platform = Machines(safety=safety, is_endless=is_cancelled)
    job = await a_life(store, platform, folder / "logs", is_cancelled=is_cancelled)
    await database.close()
    assert job is not None
    assert job.state is (JobState.CANCELLED if is_cancelled else JobState.SUCCEEDED)
    return store.writes


async def _die_and_live_again(
    folder: Path, safety: SubmitSafety, dies_at: int, *, is_late: bool, is_cancelled: bool
) -> None:
    platform = Machines(safety=safety, is_endless=is_cancelled)
    database = await Database.open(SQLite(folder / "ledger.db"))
    dying = Dying(database, dies_at, is_late=is_late)
    await a_life(dying, platform, folder / "logs", is_cancelled=is_cancelled)
    store = Dying(database, NEVER, is_late=False)
    job = await a_life(store, platform, folder / "logs", is_cancelled=is_cancelled)
    assert job is not None, (dies_at, is_late)
    events = await store.events(job.id, 0, 1000)
    await database.close()
    where = f"write {dies_at}, {'behind' if is_late else 'before'} it: {[event.kind for event in events]}"
    assert len(platform.jobs) <= 1, where
    if job.reason is JobReason.SUBMIT_AMBIGUOUS:
        assert safety is SubmitSafety.NONE, where
        return
    wanted = (JobState.CANCELLED, JobState.SUCCEEDED) if is_cancelled else (JobState.SUCCEEDED,)
    assert job.state in wanted, where
    assert platform.jobs.keys() == platform.ended.keys(), where
    assert [event.seq for event in events] == list(range(1, len(events) + 1)), where
