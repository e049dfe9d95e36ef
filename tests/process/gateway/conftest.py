"""A gateway of a test's own, with the laboratory connected."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType

import pytest

from peftstudio.gateway.v1 import connections_service_pb2, jobs_service_pb2
from peftstudio.job.v1.job_state_pb2 import JOB_STATE_CANCELLED, JOB_STATE_FAILED, JOB_STATE_SUCCEEDED
from peftstudio.job.v1.training_config_pb2 import TrainingConfig
from tests.support.gateway_process import GatewayProcess, Stubs, gateway_process

Options = dict[str, float | int | bool]
TERMINAL = (JOB_STATE_SUCCEEDED, JOB_STATE_FAILED, JOB_STATE_CANCELLED)


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[GatewayProcess]:
    async with gateway_process(tmp_path / "data") as running:
        yield running


@asynccontextmanager
async def laboratory(gateway: GatewayProcess) -> AsyncIterator[Stubs]:
    """Connect the laboratory, and give the stubs."""
    async with gateway.connected() as stubs:
        request = connections_service_pb2.ConnectRequest(connector_id="lab", credentials={"api_key": "canary-77a1b2"})
        await stubs.connections.Connect(request, timeout=30)
        yield stubs


async def submit(stubs: Stubs, **options: float) -> str:
    """Start a laboratory job and return its id."""
    return (await stubs.jobs.SubmitJob(wish(options=options), timeout=30)).job.id


def wish(
    request_id: str = "", dataset: str = "d", options: Mapping[str, float] = MappingProxyType({})
) -> jobs_service_pb2.SubmitJobRequest:
    """Make a request for a laboratory job."""
    config = TrainingConfig(base_model="m", dataset_path=dataset)
    config.options.update(dict(options))
    return jobs_service_pb2.SubmitJobRequest(request_id=request_id, connection_id="lab", config=config)


async def eventually(look: Callable[[], Awaitable[bool]], seconds: float = 30) -> None:
    """Wait until something is so, and fail if it does not become so."""
    async with asyncio.timeout(seconds):
        while not await look():  # noqa: ASYNC110 - what is waited for is in another process
            await asyncio.sleep(0.02)


async def ended(stubs: Stubs, job_id: str, seconds: float = 60) -> jobs_service_pb2.Job:
    """Wait for a job's end."""
    async with asyncio.timeout(seconds):
        async for message in stubs.jobs.WatchJobs(jobs_service_pb2.WatchJobsRequest(job_id=job_id)):
            if message.HasField("job") and message.job.state in TERMINAL:
                return message.job
    raise AssertionError("the watch ended before the job")


async def follow(stubs: Stubs, job_id: str, after_seq: int = 0, seconds: float = 60) -> list[tuple[int, str]]:
    """Follow a log to its end."""
    lines = []
    async with asyncio.timeout(seconds):
        request = jobs_service_pb2.StreamLogsRequest(job_id=job_id, follow=True, after_seq=after_seq)
        async for message in stubs.jobs.StreamLogs(request):
            lines += [(line.seq, line.text) for line in message.lines]
            if message.HasField("end"):
                assert message.end.complete
                return lines
    raise AssertionError("the log stream was cut")


def expected(count: int) -> list[tuple[int, str]]:
    """What a laboratory job writes."""
    return [(number, f"line {number} of {count}") for number in range(1, count + 1)]


def notes(gateway: GatewayProcess, kind: str, connector: str = "lab") -> list[str]:
    """What a laboratory noted of its jobs, e.g. each stream that was opened."""
    folder = gateway.data_dir / "instances" / connector / "jobs"
    lines = [line for path in folder.glob("*/notes") for line in path.read_text().splitlines()]
    return [line for line in lines if line.split(" ", 1)[1].startswith(kind)]


def give(gateway: GatewayProcess, count: int) -> None:
    """Let so many bytes of the laboratory's metered artifacts be had."""
    for folder in (gateway.data_dir / "instances" / "lab" / "jobs").iterdir():
        # The laboratory may look at any moment.
        (folder / ".given").write_text(str(count))
        (folder / ".given").rename(folder / "given")
