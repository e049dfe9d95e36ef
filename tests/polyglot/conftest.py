"""A gateway with the connector of one language, connected."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from peftstudio.gateway.v1 import connections_service_pb2, connectors_service_pb2, jobs_service_pb2
from peftstudio.job.v1.training_config_pb2 import TrainingConfig
from tests.support.gateway_process import GatewayProcess, Stubs, gateway_process
from tests.support.polyglot import LANGUAGES, Toolchain, toolchain

KEY = "canary-5d1c77e0"
LIMIT = 30.0
"""Seconds: a call, or anything that is waited for."""


@pytest.fixture(scope="session", params=LANGUAGES)
def tools(request: pytest.FixtureRequest) -> Toolchain:
    return toolchain(request.param)


@pytest.fixture
async def gateway(tools: Toolchain, tmp_path: Path) -> AsyncIterator[GatewayProcess]:
    async with gateway_process(tmp_path / "data", "--plugins", str(tools.plugins)) as running:
        yield running


@asynccontextmanager
async def workbench(gateway: GatewayProcess, tools: Toolchain, key: str = KEY) -> AsyncIterator[Stubs]:
    """Connect the workbench under the name `bench`, and give the stubs."""
    async with gateway.connected() as stubs:
        request = connections_service_pb2.ConnectRequest(
            connector_id=tools.connector_id, credentials={"api_key": key}, name="bench"
        )
        await stubs.connections.Connect(request, timeout=LIMIT)
        yield stubs


def wish(program: str, *args: str | int, dataset_path: str = "d") -> jobs_service_pb2.SubmitJobRequest:
    """Make a request to run a program."""
    config = TrainingConfig(base_model="m", dataset_path=dataset_path)
    config.options.update({"program": program, "args": [str(one) for one in args]})
    return jobs_service_pb2.SubmitJobRequest(connection_id="bench", config=config)


async def submit(stubs: Stubs, program: str, *args: str | int, dataset_path: str = "d") -> str:
    """Run a program, and return the job's id."""
    return (await stubs.jobs.SubmitJob(wish(program, *args, dataset_path=dataset_path), timeout=LIMIT)).job.id


async def connector(stubs: Stubs, tools: Toolchain) -> connectors_service_pb2.Connector:
    request = connectors_service_pb2.GetConnectorRequest(connector_id=tools.connector_id)
    return (await stubs.connectors.GetConnector(request, timeout=LIMIT)).connector


def job_folder(gateway: GatewayProcess, tools: Toolchain, platform_job_id: str) -> Path:
    """Where the workbench keeps a job."""
    instance = gateway.data_dir / "instances" / tools.connector_id
    (found,) = instance.glob(f"accounts/*/jobs/{platform_job_id}")
    return found
