"""A gateway whose ledger is on a server of the tests' own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.databases import programs
from tests.support.gateway_process import GatewayProcess, gateway_process
from tests.support.postgresql import PostgreSQLServer, postgresql_server


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgreSQLServer]:
    """A server that a test may stop: no other test uses it meanwhile."""
    with postgresql_server(programs()) as server:
        yield server


@pytest.fixture
def ledger_url(own_server: PostgreSQLServer) -> Iterator[str]:
    name = own_server.create()
    yield own_server.url(name)
    own_server.drop(name)


@pytest.fixture
async def gateway(ledger_url: str, tmp_path: Path) -> AsyncIterator[GatewayProcess]:
    async with gateway_process(tmp_path / "data", "--ledger", ledger_url) as running:
        yield running
