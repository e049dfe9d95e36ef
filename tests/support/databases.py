"""Ledgers for tests, in a file and on a server, behind one fixture."""

from __future__ import annotations

import asyncio
import shutil
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


@pytest.fixture(scope="session")
def postgresql_template(postgresql: PostgreSQLServer) -> str:
    """A database with all tables: migrating one for each test would take longer than most tests."""
    name = postgresql.create()
    asyncio.run(_migrate(PostgreSQL(LedgerUrl.parse(postgresql.url(name)))))
    return name


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "ledger.db"
    asyncio.run(_migrate(SQLite(path)))
    return path


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.engines)])
def ledger_kind(request: pytest.FixtureRequest) -> str:
    """Where the ledger is: each in turn."""
    return str(request.param)


@pytest.fixture
def make_dialect(request: pytest.FixtureRequest, ledger_kind: str, tmp_path: Path) -> Iterator[MakeDialect]:
    """An empty ledger, of each kind in turn."""
    if ledger_kind == "sqlite":
        yield lambda: SQLite(tmp_path / "ledger.db")
        return
    server: PostgreSQLServer = request.getfixturevalue("postgresql")
    name = server.create()
    yield lambda: PostgreSQL(LedgerUrl.parse(server.url(name)))
    server.drop(name)


@pytest.fixture
def migrated(request: pytest.FixtureRequest, ledger_kind: str, tmp_path: Path) -> Iterator[Dialect]:
    """A ledger with all its tables, of each kind in turn."""
    if ledger_kind == "sqlite":
        shutil.copyfile(request.getfixturevalue("sqlite_template"), tmp_path / "ledger.db")
        yield SQLite(tmp_path / "ledger.db")
        return
    server: PostgreSQLServer = request.getfixturevalue("postgresql")
    name = server.create(request.getfixturevalue("postgresql_template"))
    yield PostgreSQL(LedgerUrl.parse(server.url(name)))
    server.drop(name)


@pytest.fixture
async def database(migrated: Dialect) -> AsyncIterator[Database]:
    """A ledger that is open, of each kind in turn."""
    opened = await Database.open(migrated)
    yield opened
    await opened.close()


async def _migrate(dialect: Dialect) -> None:
    await (await Database.open(dialect)).close()
