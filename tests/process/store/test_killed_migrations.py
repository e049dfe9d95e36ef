"""kill -9 in the middle of a migration."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys

import pytest
from sqlalchemy import text

from gateway.store import migrate
from gateway.store.database import Database
from gateway.store.dialect import Dialect
from gateway.store.jobs import JobStore
from gateway.store.postgresql import PostgreSQL
from gateway.store.sqlite import SQLite
from tests.support.databases import MakeDialect
from tests.support.old_ledgers import make
from tests.unit.store.test_migrations import EARLIER, check_jobs, check_metrics

pytestmark = pytest.mark.process


@pytest.mark.parametrize("revision", EARLIER)
async def test_a_migration_that_is_killed_leaves_the_ledger_as_it_was(make_dialect: MakeDialect, revision: str) -> None:
    await make(make_dialect(), revision)
    dialect = make_dialect()
    kills = 0
    for number in (2, 5, *range(11, 100, 9)):
        command = [sys.executable, "-m", "tests.support.interrupted_migration", *_place(dialect), str(number)]
        code = (await asyncio.to_thread(subprocess.run, command, timeout=60, check=False)).returncode
        if code == 0:
            break
        assert code == -signal.SIGKILL
        kills += 1
        async with dialect.reading.connect() as connection:
            assert await connection.run_sync(migrate.current_revision) == revision
            assert await connection.scalar(text("SELECT count(*) FROM metrics")) == 3
    await dialect.reading.dispose()
    assert kills > 1
    database = await Database.open(make_dialect())
    await check_jobs(JobStore(database))
    await check_metrics(JobStore(database))
    await database.close()


def _place(dialect: Dialect) -> tuple[str, str]:
    if isinstance(dialect, SQLite):
        return "SQLite", str(dialect.path)
    assert isinstance(dialect, PostgreSQL)
    return "PostgreSQL", dialect.url.text
