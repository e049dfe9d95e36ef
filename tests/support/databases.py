"""Ledgers for tests, in a file and on a server, behind one fixture."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from gateway.store.database import Database
from gateway.store.dialect import Dialect
from gateway.store.ledger_url import LedgerUrl
from gateway.store.postgresql import PostgreSQL
from gateway.store.sqlite import SQLite
from tests.support.postgresql import PostgreSQLServer, binaries, postgresql_server

MakeDialect = Callable[[], Dialect]
"""Makes what opens one and the same ledger, each time anew."""


def programs() -> Path:
    """Return where PostgreSQL's server is, or skip the test."""
    found = binaries()
    if found is None:
        pytest.skip("no PostgreSQL server: `apt-get install postgresql`, or have its initdb in PATH")
    return found


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQLServer]:
    with postgresql_server(programs()) as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.engines)])
def make_dialect(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeDialect]:
    """An empty ledger, of each kind in turn."""
    if request.param == "sqlite":
        yield lambda: SQLite(tmp_path / "ledger.db")
        return
    server: PostgreSQLServer = request.getfixturevalue("postgresql")
    name = server.create()
    yield lambda: PostgreSQL(LedgerUrl.parse(server.url(name)))
    server.drop(name)


@pytest.fixture
async def database(make_dialect: MakeDialect) -> AsyncIterator[Database]:
    """A ledger that is open, of each kind in turn."""
    opened = await Database.open(make_dialect())
    yield opened
    await opened.close()
