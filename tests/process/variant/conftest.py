"""One gateway for the tests of a module, with connectors of the application's own variant, and their vendors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.client import Client
from tests.support.gateway_process import GatewayProcess, gateway_process
from tests.support.variant.vendors import Vendors

VARIANT = Path(__file__).parents[2] / "support" / "variant"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("gateway")
    async with gateway_process(folder / "data", "--plugins", str(VARIANT)) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def vendors() -> AsyncIterator[Vendors]:
    async with Vendors().running() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def client(gateway: GatewayProcess) -> AsyncIterator[Client]:
    async with Client(data_dir=gateway.data_dir) as connected:
        yield connected
        async for connection in connected.connections.list():
            await connected.connections.disconnect(connection.id, force=True)
