"""A fake gateway and a client of it, for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from gateway.client import Client
from peftstudio.gateway.v1.connections_service_pb2 import Connection
from tests.support.fake_gateway import FakeGateway


@pytest_asyncio.fixture
async def fake(tmp_path: Path) -> AsyncIterator[FakeGateway]:
    """A gateway with one connection, `local`."""
    async with FakeGateway(tmp_path / "data") as gateway:
        gateway.state.connections["local"] = Connection(id="c-local", connector_id="local", name="local")
        yield gateway


@pytest_asyncio.fixture
async def client(fake: FakeGateway) -> AsyncIterator[Client]:
    """A client that found the gateway by its data directory."""
    async with Client(data_dir=fake.data_dir) as found:
        yield found
