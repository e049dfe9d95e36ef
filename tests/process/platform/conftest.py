"""One gateway for the tests of a module, and a platform with a connection for each of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration

from connector_sdk.testing import FakePlatform, fake_platform
from peftstudio.gateway.v1 import (
    artifacts_service_pb2,
    connections_service_pb2,
    connectors_service_pb2,
    jobs_service_pb2,
)
from peftstudio.gateway.v1.connections_service_pb2 import Connection
from peftstudio.gateway.v1.jobs_service_pb2 import Job, JobLimits
from peftstudio.job.v1.artifact_pb2 import Artifact
from peftstudio.job.v1.training_config_pb2 import TrainingConfig
from tests.process.gateway.conftest import eventually
from tests.support.gateway_process import GatewayProcess, Stubs, gateway_process

RENTAL = Path(__file__).parents[2] / "support" / "rental"
ENDLESS = {"seconds": -1}
CALL_SECONDS = 30
"""Deadline of a call to the gateway."""

Options = Mapping[str, float | bool | str]


@dataclass
class Bench:
    """One account on one platform, connected to the gateway."""

    stubs: Stubs
    platform: FakePlatform
    connection_id: str = ""

    async def connect(self, connector_id: str = "rental", **credentials: str) -> str:
        """Connect the account."""
        request = connections_service_pb2.ConnectRequest(
            connector_id=connector_id, credentials={**self.platform.credentials, **credentials}
        )
        answer = await self.stubs.connections.Connect(request, timeout=CALL_SECONDS)
        self.connection_id = answer.connection.id
        return self.connection_id

    async def submit(self, options: Options | None = None, machine: str = "", limits: JobLimits | None = None) -> str:
        """Wish for a job."""
        config = TrainingConfig(base_model="m", dataset_path="d")
        config.options.update(dict(options or {}))
        request = jobs_service_pb2.SubmitJobRequest(
            connection_id=self.connection_id, config=config, resource_id=machine, limits=limits
        )
        return (await self.stubs.jobs.SubmitJob(request, timeout=CALL_SECONDS)).job.id

    async def job(self, job_id: str) -> Job:
        """Return what the gateway knows of a job."""
        request = jobs_service_pb2.GetJobRequest(job_id=job_id)
        return (await self.stubs.jobs.GetJob(request, timeout=CALL_SECONDS)).job

    async def fresh(self, job_id: str) -> Job:
        """Return a job after a look at the platform."""
        request = jobs_service_pb2.GetJobRequest(job_id=job_id, max_staleness=Duration())
        return (await self.stubs.jobs.GetJob(request, timeout=CALL_SECONDS)).job

    async def running(self, options: Options | None = None, machine: str = "", limits: JobLimits | None = None) -> Job:
        """Wish for a job that does not end by itself, and return it once it runs."""
        job_id = await self.submit({**ENDLESS, **(options or {})}, machine, limits)
        return await self.until(job_id, lambda job: job.status == "running")

    async def until(self, job_id: str, is_so: Callable[[Job], bool], seconds: float = 30) -> Job:
        """Return a job once something is so."""
        job = await self.job(job_id)

        async def look() -> bool:
            nonlocal job
            job = await self.job(job_id)
            return is_so(job)

        await eventually(look, seconds)
        return job

    async def until_rented(self) -> None:
        """Wait until the platform has rented out a machine."""

        async def is_rented() -> bool:
            return bool(await self.platform.rentals())

        await eventually(is_rented)

    async def stale(self, job_id: str, words: str) -> Job:
        """Return a job once a look at it failed, for a reason with these words."""
        return await self.until(job_id, lambda job: job.stale and words in job.last_error)

    async def cancel(self, job_id: str) -> None:
        """Wish for a job's end."""
        request = jobs_service_pb2.CancelJobRequest(job_id=job_id)
        await self.stubs.jobs.CancelJob(request, timeout=CALL_SECONDS)

    async def connection(self) -> Connection:
        """Return what the gateway knows of the connection."""
        request = connections_service_pb2.GetConnectionRequest(connection_id=self.connection_id)
        return (await self.stubs.connections.GetConnection(request, timeout=CALL_SECONDS)).connection

    async def events(self, job_id: str) -> list[str]:
        """Return the kinds of a job's events."""
        request = jobs_service_pb2.ListJobEventsRequest(job_id=job_id)
        answer = await self.stubs.jobs.ListJobEvents(request, timeout=CALL_SECONDS)
        return [event.kind for event in answer.events]

    async def files(self, job_id: str) -> dict[str, Artifact]:
        """List a job's files."""
        request = artifacts_service_pb2.ListArtifactsRequest(job_id=job_id)
        answer = await self.stubs.artifacts.ListArtifacts(request, timeout=CALL_SECONDS)
        return {file.path: file for file in answer.artifacts}

    async def fetch(self, job_id: str, artifact_id: str = "adapter_model.safetensors") -> bytes:
        """Fetch a file."""
        data = b""
        request = artifacts_service_pb2.FetchArtifactRequest(job_id=job_id, artifact_id=artifact_id)
        async for message in self.stubs.artifacts.FetchArtifact(request, timeout=CALL_SECONDS):
            assert message.chunk.offset == len(data) or not message.chunk.data
            data += message.chunk.data
        return data


@asynccontextmanager
async def platform_bench(gateway: GatewayProcess, connector_id: str = "rental") -> AsyncIterator[Bench]:
    """Run a platform, connect it, and leave nothing of either in the gateway."""
    async with fake_platform() as platform, gateway.connected() as stubs:
        bench = Bench(stubs, platform)
        await bench.connect(connector_id)
        yield bench
        await platform.faults.clear()
        request = connections_service_pb2.DisconnectRequest(connection_id=bench.connection_id, force=True)
        # The gateway may be another one by now.
        async with gateway.connected() as last:
            await last.connections.Disconnect(request, timeout=CALL_SECONDS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("gateway")
    async with gateway_process(folder / "data", "--plugins", str(RENTAL)) as running:
        yield running
        said = running.log_path.read_text().splitlines()
        # A connector may tell of its own troubles, the gateway has none.
        assert not [line for line in said if "Traceback" in line and "connector said" not in line]


@pytest_asyncio.fixture(loop_scope="module")
async def bench(gateway: GatewayProcess) -> AsyncIterator[Bench]:
    async with platform_bench(gateway) as made:
        yield made


async def connector_pid(bench: Bench, connector_id: str) -> int:
    """Return the process that serves now."""
    request = connectors_service_pb2.GetConnectorRequest(connector_id=connector_id)
    return (await bench.stubs.connectors.GetConnector(request, timeout=30)).connector.pid
