"""What platforms allow, and what they cost, with real processes."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration

from peftstudio.gateway.v1 import connections_service_pb2, jobs_service_pb2
from peftstudio.gateway.v1.connections_service_pb2 import CONNECTION_STATE_ACTIVE, CONNECTION_STATE_UNREACHABLE
from peftstudio.job.v1.job_state_pb2 import JOB_REASON_BUDGET_EXCEEDED, JOB_STATE_CANCELLED, JOB_STATE_QUEUED
from peftstudio.job.v1.training_config_pb2 import TrainingConfig
from tests.process.gateway.conftest import ended, eventually
from tests.support.gateway_process import PEFTSTUDIO, GatewayProcess, Stubs, gateway_process

pytestmark = pytest.mark.process

STORM = Path(__file__).parents[2] / "support" / "storm"
ENDLESS = {"lines": 1e9, "pace": 0.001}


@asynccontextmanager
async def metered(folder: Path, **rate_limits: int) -> AsyncIterator[GatewayProcess]:
    """Run a gateway whose owner limits the metered platform, with one connection to it."""
    data = folder / "data"
    data.mkdir()
    (data / "connectors.json").write_text(json.dumps({"metered": {"rate_limits": rate_limits}}))
    async with gateway_process(data, "--plugins", str(STORM)) as gateway:
        async with gateway.connected() as stubs:
            request = connections_service_pb2.ConnectRequest(
                connector_id="metered", credentials={"api_key": "canary-9"}
            )
            await stubs.connections.Connect(request, timeout=60)
        yield gateway


async def submit(stubs: Stubs, resource_id: str = "", **limits: int) -> str:
    config = TrainingConfig(base_model="m", dataset_path="d")
    config.options.update(ENDLESS)
    request = jobs_service_pb2.SubmitJobRequest(
        connection_id="metered",
        config=config,
        resource_id=resource_id,
        limits=jobs_service_pb2.JobLimits(**limits),  # type: ignore[arg-type]
    )
    return (await stubs.jobs.SubmitJob(request, timeout=30)).job.id


async def get(stubs: Stubs, job_id: str) -> jobs_service_pb2.Job:
    return (await stubs.jobs.GetJob(jobs_service_pb2.GetJobRequest(job_id=job_id), timeout=30)).job


async def get_fresh(stubs: Stubs, job_id: str) -> jobs_service_pb2.Job:
    request = jobs_service_pb2.GetJobRequest(job_id=job_id, max_staleness=Duration())
    return (await stubs.jobs.GetJob(request, timeout=30)).job


async def cancel(stubs: Stubs, job_id: str) -> None:
    await stubs.jobs.CancelJob(jobs_service_pb2.CancelJobRequest(job_id=job_id), timeout=30)


def home(gateway: GatewayProcess) -> Path:
    return gateway.data_dir / "instances" / "metered"


def calls(gateway: GatewayProcess, kind: str = "") -> list[str]:
    path = home(gateway) / "calls"
    lines = path.read_text().splitlines() if path.exists() else []
    return [line for line in lines if line.split()[1] == (kind or line.split()[1])]


async def test_jobs_beyond_concurrent_jobs_wait_in_order_over_a_kill_and_start_when_a_slot_is_free(
    tmp_path: Path,
) -> None:
    async with metered(tmp_path, concurrent_jobs=2) as gateway:

        def machines() -> list[str]:
            return sorted(path.name for path in (home(gateway) / "machines").glob("*"))

        async with gateway.connected() as stubs:
            jobs = [await submit(stubs) for _ in range(5)]

            async def two_run() -> bool:
                return len(machines()) == 2

            await eventually(two_run)
            waiting = [await get(stubs, job_id) for job_id in jobs[2:]]
            assert [job.state for job in waiting] == [JOB_STATE_QUEUED] * 3
            assert [job.message for job in waiting] == [
                "waits for its turn: it is the next",
                "waits for its turn: 1 job is before it",
                "waits for its turn: 2 jobs are before it",
            ]
            await gateway.kill()
        await gateway.start()
        async with gateway.connected() as stubs:
            assert (await get(stubs, jobs[4])).message == "waits for its turn: 2 jobs are before it"
            assert len(machines()) == 2
            # One that waits is cancelled without a word to the platform; the next one goes when a machine is free.
            await cancel(stubs, jobs[2])
            assert (await ended(stubs, jobs[2])).state == JOB_STATE_CANCELLED
            await cancel(stubs, jobs[0])

            async def has_machine() -> bool:
                return bool((await get(stubs, jobs[3])).platform_job_id)

            await eventually(has_machine)
            assert not (await get(stubs, jobs[4])).platform_job_id
            assert len(machines()) == 3


async def test_looks_keep_within_requests_per_minute_and_users_and_cancels_still_get_through(tmp_path: Path) -> None:
    async with metered(tmp_path, requests_per_minute=40) as gateway, gateway.connected() as stubs:
        jobs = [await submit(stubs) for _ in range(3)]

        async def users_have_used_their_share() -> bool:
            await get_fresh(stubs, jobs[0])
            return len(calls(gateway)) >= 30

        await eventually(users_have_used_their_share, 60)
        waiting = asyncio.create_task(get_fresh(stubs, jobs[0]))
        for job_id in jobs:
            await cancel(stubs, job_id)
        assert len(calls(gateway, "cancel")) == 3
        assert not (await waiting).stale
        times = [float(line.split()[0]) for line in calls(gateway)]
        busiest = max(sum(1 for other in times if moment - 59.5 < other <= moment) for moment in times)
        assert busiest <= 40
        assert [(await get(stubs, job_id)).stale for job_id in jobs] == [False] * 3


async def test_a_platform_that_says_429_gets_the_submission_again_when_it_said(tmp_path: Path) -> None:
    async with metered(tmp_path) as gateway, gateway.connected() as stubs:
        (home(gateway) / "busy-submit").write_text("2")
        job_id = await submit(stubs)

        async def is_accepted() -> bool:
            return bool((await get(stubs, job_id)).platform_job_id)

        await eventually(is_accepted)
        first, second = (float(line.split()[0]) for line in calls(gateway, "submit"))
        assert second - first > 1.9


async def test_a_users_look_that_meets_a_429_is_made_again_while_the_user_waits(tmp_path: Path) -> None:
    async with metered(tmp_path, requests_per_minute=600) as gateway, gateway.connected() as stubs:
        job_id = await submit(stubs)

        async def is_looked_at() -> bool:
            return (await get(stubs, job_id)).observed_at.seconds > 0

        await eventually(is_looked_at)
        before = await get_fresh(stubs, job_id)
        (home(gateway) / "busy-look").write_text("1")
        after = await get_fresh(stubs, job_id)
        assert not (home(gateway) / "busy-look").exists()
        assert after.observed_at.ToDatetime() > before.observed_at.ToDatetime()
        assert not after.stale


async def test_a_platform_that_is_down_is_left_alone_but_for_cancels_and_shown(tmp_path: Path) -> None:
    async with metered(tmp_path) as gateway, gateway.connected() as stubs:
        job_id = await submit(stubs)

        async def is_running() -> bool:
            return (await get(stubs, job_id)).observed_at.seconds > 0

        await eventually(is_running)
        (home(gateway) / "down").touch()

        async def connection() -> connections_service_pb2.Connection:
            request = connections_service_pb2.GetConnectionRequest(connection_id="metered")
            return (await stubs.connections.GetConnection(request, timeout=30)).connection

        async def is_left_alone() -> bool:
            return (await connection()).state == CONNECTION_STATE_UNREACHABLE

        await eventually(is_left_alone)
        assert "503" in (await connection()).message
        await cancel(stubs, job_id)
        assert len(calls(gateway, "cancel")) == 1
        (home(gateway) / "down").unlink()
        assert (await ended(stubs, job_id)).state == JOB_STATE_CANCELLED

        async def is_back() -> bool:
            return (await connection()).state == CONNECTION_STATE_ACTIVE

        await eventually(is_back, 60)


async def test_a_budget_warns_and_then_ends_the_job(tmp_path: Path) -> None:
    async with metered(tmp_path) as gateway, gateway.connected() as stubs:
        # 0.80 USD an hour, billed by the minute: 13,334 micros at once. A warning needs some, a breach less.
        warned = await submit(stubs, "small", max_cost_micros=16_000)
        stopped = await submit(stubs, "small", max_cost_micros=10_000)
        job = await ended(stubs, stopped)
        assert (job.state, job.reason) == (JOB_STATE_CANCELLED, JOB_REASON_BUDGET_EXCEEDED)
        assert job.cost.amount_micros >= 13_333

        async def is_warned() -> bool:
            request = jobs_service_pb2.ListJobEventsRequest(job_id=warned)
            events = (await stubs.jobs.ListJobEvents(request, timeout=30)).events
            return [event.kind for event in events].count("budget_warning") == 1

        await eventually(is_warned)
        assert "80 %" in (await get(stubs, warned)).message


async def test_a_machine_that_the_ledger_does_not_know_any_more_is_shown_and_can_be_ended(tmp_path: Path) -> None:
    async with metered(tmp_path) as gateway:
        async with gateway.connected() as stubs:
            job_id, kept = await submit(stubs), await submit(stubs)
            for one in (job_id, kept):

                async def is_accepted(one: str = one) -> bool:
                    return bool((await get(stubs, one)).platform_job_id)

                await eventually(is_accepted)
            machine = (await get(stubs, job_id)).platform_job_id
        await gateway.stop()
        with closing(sqlite3.connect(gateway.data_dir / "ledger.db")) as ledger:
            ledger.execute("DELETE FROM jobs WHERE id = ?", (job_id,))
            ledger.commit()
        await gateway.start()
        shown = await peftstudio(gateway, "jobs", "orphans")
        assert machine in shown
        assert "older state" in shown
        assert shown.count("m-peft-") == 1
        await peftstudio(gateway, "jobs", "orphans", "--end", machine)
        assert (home(gateway) / "machines" / machine / "cancelled").exists()
        assert machine not in await peftstudio(gateway, "jobs", "orphans")
        assert len(list((home(gateway) / "machines").glob("*/cancelled"))) == 1


async def peftstudio(gateway: GatewayProcess, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(PEFTSTUDIO),
        "--data-dir",
        str(gateway.data_dir),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()
