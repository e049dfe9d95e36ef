"""A ledger that is locked by another program, and one whose disk is full: said clearly, and nothing is lost."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import grpc
import pytest

from peftstudio.gateway.v1 import connections_service_pb2, jobs_service_pb2
from peftstudio.job.v1.job_state_pb2 import JOB_STATE_SUCCEEDED
from tests.process.gateway.conftest import ended, expected, follow, laboratory, notes, submit, wish
from tests.process.gateway.test_hardships import refused
from tests.support.gateway_process import GatewayProcess, Stubs

pytestmark = pytest.mark.process

FULL_BYTES = 192 * 1024
"""What a file of the gateway may have while its disk counts as full: more than its log has, less than the ledger's."""

OWN_LOG_BYTES = 1024
"""Less than the gateway's own log has."""


@contextmanager
def locked(ledger: Path) -> Iterator[None]:
    """Hold the lock for writing, as a program does that changes the ledger by hand."""
    with closing(sqlite3.connect(ledger, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def full(gateway: GatewayProcess, most: int = FULL_BYTES) -> Iterator[None]:
    """Let no file of the gateway grow."""
    limits = resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (most, limits[1]))
    try:
        yield
    finally:
        resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, limits)


def rows(gateway: GatewayProcess, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(gateway.data_dir / "ledger.db")) as ledger:
        return ledger.execute(query).fetchall()


async def check_that_the_fault_cost_nothing(gateway: GatewayProcess, stubs: Stubs, running: str) -> None:
    """What was refused was not stored, what ran goes on, and what is asked for again is done."""
    assert rows(gateway, "SELECT request_id FROM jobs WHERE request_id IS NOT NULL") == []
    assert rows(gateway, "SELECT name FROM connections") == [("lab",)]
    assert await follow(stubs, running) == expected(1500)
    assert (await ended(stubs, running)).state == JOB_STATE_SUCCEEDED
    again = (await stubs.jobs.SubmitJob(wish("wish", options={"lines": 3}), timeout=30)).job.id
    assert (await ended(stubs, again)).state == JOB_STATE_SUCCEEDED
    assert await follow(stubs, again) == expected(3)
    assert rows(gateway, "PRAGMA integrity_check") == [("ok",)]
    assert len(notes(gateway, "submitted")) == len(rows(gateway, "SELECT id FROM jobs"))
    # A start finds it all the same.
    await gateway.kill()
    await gateway.start()
    async with gateway.connected() as fresh:
        assert (await ended(fresh, running)).state == JOB_STATE_SUCCEEDED
    said = gateway.log_path.read_text()
    assert "GATEWAY_BUG" not in said
    assert "Traceback" not in said


def another_connection() -> connections_service_pb2.ConnectRequest:
    return connections_service_pb2.ConnectRequest(connector_id="lab", name="second", credentials={"api_key": "k"})


async def test_a_locked_ledger_is_said_and_reads_go_on_and_nothing_is_lost(gateway: GatewayProcess) -> None:
    async with laboratory(gateway) as stubs:
        running = await submit(stubs, lines=1500, pace=300)
        with locked(gateway.data_dir / "ledger.db"):
            calls = [stubs.jobs.SubmitJob(wish("wish"), timeout=30) for _ in range(5)]
            reading = await stubs.jobs.GetJob(jobs_service_pb2.GetJobRequest(job_id=running), timeout=5)
            assert reading.job.id == running
            answers = await asyncio.gather(
                *(refused(call) for call in calls), refused(stubs.connections.Connect(another_connection(), timeout=30))
            )
            assert set(answers) == {(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")}
        await check_that_the_fault_cost_nothing(gateway, stubs, running)


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="the size of another process's files: Linux only")
async def test_a_full_disk_is_said_and_nothing_is_lost_or_half_written(gateway: GatewayProcess) -> None:
    wal = gateway.data_dir / "ledger.db-wal"
    async with laboratory(gateway) as stubs:
        running = await submit(stubs, lines=1500, pace=300)
        while wal.stat().st_size < 2 * FULL_BYTES:
            await ended(stubs, await submit(stubs, lines=1))
        assert gateway.log_path.stat().st_size < FULL_BYTES
        with full(gateway):
            for call in (
                stubs.jobs.SubmitJob(wish("wish"), timeout=30),
                stubs.connections.Connect(another_connection(), timeout=30),
            ):
                assert await refused(call) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "STORAGE_FULL")
            request = jobs_service_pb2.ListJobsRequest(page_size=1)
            assert (await stubs.jobs.ListJobs(request, timeout=30)).jobs
        with full(gateway, OWN_LOG_BYTES):
            # Not even its own log can be written.
            refusal = await refused(stubs.jobs.SubmitJob(wish("wish"), timeout=30))
            assert refusal == (grpc.StatusCode.RESOURCE_EXHAUSTED, "STORAGE_FULL")
        await check_that_the_fault_cost_nothing(gateway, stubs, running)
