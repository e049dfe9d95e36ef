"""Credentials that were replaced stay known, sealed, to the logs of jobs that began with them, and no longer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.connections.service import Connections
from gateway.connections.vault import Vault
from gateway.store.connections import ConnectionStore
from gateway.store.database import Database
from gateway.store.jobs import Change, JobStore, Record
from gateway.store.schema import former_credentials
from tests.support.clocks import FakeClock
from tests.unit.connections.test_connections_service import FakeAccess, on_disk
from tests.unit.jobs.test_states import JOB

pytestmark = pytest.mark.unit

FIRST, SECOND, THIRD = (
    {"api_key": f"{word}-key-of-the-account", "region": "eu"} for word in ("first", "second", "third")
)


def started(folder: Path, database: Database) -> Connections:
    """Make what a gateway has at its start."""

    async def has_open_jobs(connection_id: str) -> bool:
        return False

    access = FakeAccess(good_keys={one["api_key"] for one in (FIRST, SECOND, THIRD)})
    return Connections(ConnectionStore(database), Vault.load(folder, {}), access, FakeClock(), has_open_jobs)


async def hidden(connections: Connections, connection_id: str) -> set[int]:
    """Return which keys the logs of a connection's jobs do not show."""
    redactor = await connections.redactor(connection_id)
    keys = (one["api_key"] for one in (FIRST, SECOND, THIRD))
    return {number for number, key in enumerate(keys, 1) if key not in redactor.text(f"using {key} now")}


async def begin(jobs: JobStore, job_id: str, connection_id: str) -> None:
    job = replace(JOB, id=job_id, connection_id=connection_id, submission_token=job_id, request_id=job_id)
    await jobs.keep([Record(change=Change(job, await jobs.last_change() + 1), events=(), is_new=True)])


async def test_a_job_that_goes_on_over_a_rotation_and_a_restart_shows_neither_credentials(
    tmp_path: Path, database: Database
) -> None:
    jobs, connections = JobStore(database), started(tmp_path, database)
    made = await connections.connect("runpod", FIRST)
    await begin(jobs, "job-1", made.id)
    await connections.rotate(made.id, SECOND)
    await begin(jobs, "job-2", made.id)
    await connections.rotate(made.id, THIRD)
    again = started(tmp_path, database)
    assert await hidden(again, made.id) == {1, 2, 3}
    assert await again.credentials(made.id) == THIRD

    await jobs.close_log("job-1", 0)
    await again.drop_former("job-1")
    assert await hidden(started(tmp_path, database), made.id) == {2, 3}
    await jobs.close_log("job-2", 0)
    await again.drop_former("job-2")
    assert await hidden(started(tmp_path, database), made.id) == {3}


async def test_what_a_killed_gateway_did_not_drop_is_dropped_at_the_next_start(
    tmp_path: Path, database: Database
) -> None:
    jobs, connections = JobStore(database), started(tmp_path, database)
    made = await connections.connect("runpod", FIRST)
    await begin(jobs, "job-1", made.id)
    await connections.rotate(made.id, SECOND)
    await jobs.close_log("job-1", 0)
    again = started(tmp_path, database)
    await again.drop_former()
    assert await hidden(again, made.id) == {2}


async def test_without_a_job_that_prints_nothing_is_kept(tmp_path: Path, database: Database) -> None:
    jobs, connections = JobStore(database), started(tmp_path, database)
    made, other = [await connections.connect("runpod", FIRST) for _ in range(2)]
    await begin(jobs, "job-1", made.id)
    await jobs.close_log("job-1", 0)
    await begin(jobs, "job-2", other.id)
    await connections.rotate(made.id, SECOND)
    async with database.read() as connection:
        assert (await connection.execute(former_credentials.select())).all() == []


async def test_a_disconnected_account_leaves_nothing(tmp_path: Path, database: Database) -> None:
    jobs, connections = JobStore(database), started(tmp_path, database)
    made = await connections.connect("runpod", FIRST)
    await begin(jobs, "job-1", made.id)
    await connections.rotate(made.id, SECOND)
    await connections.disconnect(made.id, force=True)
    async with database.read() as connection:
        assert (await connection.execute(former_credentials.select())).all() == []


@pytest.mark.parametrize("ledger_kind", ["sqlite"], indirect=True)
async def test_they_are_sealed_while_they_are_kept_and_leave_no_trace_behind(
    tmp_path: Path, database: Database
) -> None:
    jobs, connections = JobStore(database), started(tmp_path, database)
    made = await connections.connect("runpod", FIRST)
    sealed = await ConnectionStore(database).sealed(made.id)
    assert sealed is not None
    await begin(jobs, "job-1", made.id)
    await connections.rotate(made.id, SECOND)
    assert sealed in on_disk(tmp_path)
    assert FIRST["api_key"].encode() not in on_disk(tmp_path)
    await jobs.close_log("job-1", 0)
    await connections.drop_former("job-1")
    assert sealed[-32:] not in on_disk(tmp_path)
