"""A connector that is killed two hundred times while its logs stream and its calls are made."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import grpc
import psutil
import pytest
from google.protobuf.duration_pb2 import Duration

from gateway.plugins.folders import Folders
from peftstudio.gateway.v1 import (
    artifacts_service_pb2,
    connections_service_pb2,
    connectors_service_pb2,
    jobs_service_pb2,
)
from peftstudio.job.v1.job_state_pb2 import JOB_STATE_SUCCEEDED
from tests.process.gateway.conftest import ended, expected, follow, notes, wish
from tests.support.gateway_process import GatewayProcess, Stubs, gateway_process
from tests.support.signals import send

pytestmark = [pytest.mark.process, pytest.mark.timeout(400)]

KILLS = 200
TEMPLATE_TOO = 20
"""Of so many kills, one is also one of the process from which the connector was forked."""
LINES = 20_000
LOG_SECONDS = 60
LOGS = 3
OPENED = "target"
"""The connector's id, and its connection's."""
PROGRAM = """
from tests.support.plugins.lab_connector import LabConnector


class TargetConnector(LabConnector):
    name = "target"
"""
MANIFEST = """
id = "target"
command = ["{python}", "-m", "connector_sdk", "serve", "{dir}/target.py"]

[limits] # else the breaker would end the test after five deaths
backoff_first = 0.05
backoff_cap = 0.1
stable_window = 1
breaker_deaths = 100
breaker_starts = 1000
breaker_window = 10
"""


@asynccontextmanager
async def target(tmp_path: Path) -> AsyncIterator[tuple[GatewayProcess, Stubs]]:
    folder = tmp_path / "plugins" / "target"
    folder.mkdir(parents=True)
    (folder / "target.py").write_text(PROGRAM)
    (folder / "connector.toml").write_text(MANIFEST)
    async with (
        gateway_process(tmp_path / "data", "--plugins", str(folder.parent)) as gateway,
        gateway.connected() as stubs,
    ):
        request = connections_service_pb2.ConnectRequest(connector_id=OPENED, credentials={"api_key": "canary-77a1"})
        await stubs.connections.Connect(request, timeout=30)
        yield gateway, stubs


class Calls:
    """Clients that call all the time and count how it went."""

    def __init__(self, stubs: Stubs, job_id: str) -> None:
        self.outcomes: Counter[str] = Counter()
        self.submitted: list[str] = []
        self._stubs = stubs
        self._job_id = job_id

    async def look(self) -> None:
        request = jobs_service_pb2.GetJobRequest(job_id=self._job_id, max_staleness=Duration(nanos=1))
        await self._stubs.jobs.GetJob(request, timeout=60)

    async def verify(self) -> None:
        request = connections_service_pb2.VerifyConnectionRequest(connection_id=OPENED)
        await self._stubs.connections.VerifyConnection(request, timeout=60)

    async def list_files(self) -> None:
        request = artifacts_service_pb2.ListArtifactsRequest(job_id=self._job_id)
        await self._stubs.artifacts.ListArtifacts(request, timeout=60)

    async def submit(self) -> None:
        request = wish(f"wish-{len(self.submitted)}", options={"lines": 3})
        request.connection_id = OPENED
        self.submitted.append((await self._stubs.jobs.SubmitJob(request, timeout=60)).job.id)
        await ended(self._stubs, self.submitted[-1], seconds=100)

    async def go_on(self) -> None:
        """Call until cancelled; an answer is one of OK and UNAVAILABLE, in time."""
        async with asyncio.TaskGroup() as group:
            for call in (self.look, self.verify, self.list_files, self.submit):
                group.create_task(self._repeat(call))

    async def _repeat(self, call: object) -> None:
        assert callable(call)
        while True:
            try:
                await call()
                self.outcomes["OK"] += 1
            except grpc.aio.AioRpcError as error:
                self.outcomes[error.code().name] += 1


async def kill_often(gateway: GatewayProcess, stubs: Stubs, chance: random.Random) -> None:
    """Kill each process of the connector at some moment between its launch and long after it was ready."""
    killed = 0
    victim = 0
    while killed < KILLS:
        request = connectors_service_pb2.GetConnectorRequest(connector_id=OPENED)
        seen = (await stubs.connectors.GetConnector(request, timeout=60)).connector
        if seen.pid in (0, victim):
            await asyncio.sleep(0.005)
            continue
        await asyncio.sleep(chance.choice([0.0, 0.02, 0.1, 0.2, 0.3]) * chance.random() * 2)
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            parents = [one.pid for one in psutil.Process(seen.pid).parents()]
            if gateway.pid in parents:
                send(seen.pid, signal.SIGKILL)
                killed += 1
            if gateway.pid in parents[1:] and killed % TEMPLATE_TOO == 0:
                send(parents[0], signal.SIGKILL)
        victim = seen.pid


async def test_two_hundred_kills_lose_no_line_and_hang_no_call(tmp_path: Path) -> None:
    chance = random.Random(20_261_124)
    async with target(tmp_path) as (gateway, stubs):
        jobs = []
        for number in range(LOGS):
            request = wish(f"log-{number}", options={"lines": LINES, "pace": LINES / LOG_SECONDS})
            request.connection_id = OPENED
            jobs.append((await stubs.jobs.SubmitJob(request, timeout=60)).job.id)
        followers = [asyncio.create_task(follow(stubs, job_id, seconds=300)) for job_id in [*jobs, *jobs]]
        calls = Calls(stubs, jobs[0])
        calling = asyncio.create_task(calls.go_on())
        await kill_often(gateway, stubs, chance)
        for follower in followers:
            assert await follower == expected(LINES)
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)
        # Also one that was submitted by a call whose answer nobody waited for at the end.
        listed = await stubs.jobs.ListJobs(jobs_service_pb2.ListJobsRequest(page_size=1000), timeout=60)
        assert {*jobs, *calls.submitted} <= {job.id for job in listed.jobs}
        for job in listed.jobs:
            assert (await ended(stubs, job.id)).state == JOB_STATE_SUCCEEDED
        machines = gateway.data_dir / "instances" / OPENED / "jobs"
        assert sorted(os.listdir(machines)) == sorted(job.platform_job_id for job in listed.jobs)
        assert len(notes(gateway, "submitted", OPENED)) <= len(listed.jobs)
        assert set(calls.outcomes) <= {"OK", "UNAVAILABLE"}
        assert calls.outcomes["OK"] > 100
        print(f"{dict(calls.outcomes)}, {len(calls.submitted)} more jobs")
        assert await gateway.stop() == 0
        left = [process for process in psutil.process_iter() if is_of(process, gateway.data_dir)]
        assert left == []
        sockets = Folders.of(gateway.data_dir, os.environ.get("XDG_RUNTIME_DIR")).runtime_root
        assert not sockets.exists()


def is_of(process: psutil.Process, folder: Path) -> bool:
    with suppress(psutil.Error):
        return process.cwd().startswith(str(folder))
    return False
