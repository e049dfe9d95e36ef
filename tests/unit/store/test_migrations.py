"""Ledgers of every released version, brought to the present one."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from gateway.artifacts.model import ArtifactState
from gateway.errors import StorageFull, WrongState
from gateway.jobs.model import JobFilter, JobState
from gateway.paging import PageRequest
from gateway.store import migrate
from gateway.store.artifacts import ArtifactStore
from gateway.store.columns import moment
from gateway.store.connections import ConnectionStore
from gateway.store.connectors import DisabledConnectors
from gateway.store.database import Database
from gateway.store.jobs import JobStore
from gateway.store.schema import metadata
from gateway.store.sqlite import SQLite
from gateway.store.uploads import UploadStore
from tests.support.databases import MakeDialect
from tests.support.old_ledgers import ROWS, make

pytestmark = pytest.mark.unit

EARLIER = migrate.revisions()[:-1]


@pytest.mark.parametrize("revision", EARLIER)
async def test_every_row_of_a_released_ledger_is_read_by_todays_stores(
    make_dialect: MakeDialect, revision: str
) -> None:
    await make(make_dialect(), revision)
    database = await Database.open(make_dialect())
    await check_jobs(JobStore(database))
    await check_metrics(JobStore(database))
    (file,) = await ArtifactStore(database).list("job-2")
    assert (file.path, file.size, file.state, file.unsafe) == ("w.safetensors", 2**40, ArtifactState.VERIFIED, True)
    connection = await ConnectionStore(database).get("lab")
    assert connection is not None
    assert (connection.id, connection.account, connection.created_at) == ("conn-1", "me", moment(1))
    assert await ConnectionStore(database).sealed("conn-1") == b"\x01sealed\x00"
    uploads = UploadStore(database)
    upload = await uploads.get("up-1")
    assert upload is not None
    assert (upload.sha256, upload.size) == ("d" * 64, 3)
    assert [one.sha256 for one in (await uploads.datasets(PageRequest.parse(0, "")))[0]] == ["d" * 64]
    assert await DisabledConnectors(database).load() == {"off"}
    await database.close()


async def check_jobs(store: JobStore) -> None:
    assert await store.identity() == "0a1b2c3d"
    assert await store.last_change() == 2
    (running,) = await store.open_jobs()
    assert (running.id, running.state, running.labels) == ("job-1", JobState.RUNNING, {"team": "a", "odd\0": "b"})
    assert (running.tokens, running.metrics_cursor, running.attempt) == (11, "here", 2)
    assert running.price is not None
    assert running.price.amount_micros == 7
    assert (running.holds[0].start, running.holds[0].end) == (moment(1_500_000), None)
    assert running.limits.max_cost_micros == 9
    (ended,) = await store.by_request_ids(["wish", "another"])
    assert (ended.id, ended.state, ended.exit_code, ended.ended_at) == ("job-2", JobState.SUCCEEDED, 0, moment(3))
    assert [event.message for event in await store.events("job-1", 0, 10)] == ["m1", "m2"]
    for labels in ({"team": "a"}, {"odd\0": "b", "team": "a"}):
        assert await store.page(JobFilter(labels=labels), "", 9, ascending=True) == [running]


async def check_metrics(store: JobStore) -> None:
    points, place = await store.metrics_behind("job-1", [], 0, 10)
    assert [(point.name, point.step) for point in points] == [("loss", 2), ("loss", 3), ("a", 4)]
    assert (points[0].value, math.isnan(points[1].value), points[2].value) == (0.5, True, 1e-05)
    assert await store.metrics_behind("job-1", [], place, 10) == ([], place)


def test_there_is_a_ledger_of_every_released_revision() -> None:
    assert list(ROWS) == EARLIER


@pytest.mark.parametrize("revision", [None, *EARLIER])
async def test_the_migrated_schema_is_the_one_that_the_stores_use(
    make_dialect: MakeDialect, revision: str | None
) -> None:
    if revision is not None:
        await make(make_dialect(), revision)
    database = await Database.open(make_dialect())

    def differences(connection: Connection) -> Sequence[object]:
        found: Sequence[object] = compare_metadata(
            MigrationContext.configure(connection, opts={"compare_type": True}), metadata
        )
        return found

    async with database.read() as connection:
        assert await connection.run_sync(differences) == []
    await database.close()


async def test_a_new_ledger_is_the_one_that_all_migrations_lead_to(make_dialect: MakeDialect) -> None:
    dialect = make_dialect()
    found = []
    for way in (migrate.create, migrate.upgrade):
        async with dialect.migrating.connect() as connection:
            await dialect.begin_migration(connection)
            await connection.run_sync(way)
            found.append(await connection.run_sync(_described))
            await connection.rollback()
    await dialect.migrating.dispose()
    created, migrated = found
    assert created == migrated
    assert created["jobs"]


def _described(connection: Connection) -> dict[str, list[str]]:
    """Say all that the database knows of its tables."""
    seen = inspect(connection)
    described = {"revision": [str(migrate.current_revision(connection))]}
    for name in seen.get_table_names():
        columns = sorted(seen.get_columns(name), key=lambda column: column["name"])
        parts = [(one["name"], repr(one["type"]), one["nullable"], one["default"]) for one in columns]
        indexes = sorted(str((one["column_names"], one["unique"])) for one in seen.get_indexes(name))
        uniques = sorted(str(one["column_names"]) for one in seen.get_unique_constraints(name))
        key = seen.get_pk_constraint(name)["constrained_columns"]
        described[name] = [*map(str, parts), *indexes, *uniques, str(key)]
    return described


def test_the_revisions_are_those_that_alembic_finds() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    scripts = ScriptDirectory.from_config(config)
    assert migrate.revisions() == [script.revision for script in scripts.walk_revisions()][::-1]


def test_a_gateway_does_not_carry_what_only_migrations_and_servers_need() -> None:
    program = "import sys, gateway.app; print([name for name in sys.argv[1:] if name in sys.modules])"
    command = [sys.executable, "-c", program, "alembic", "mako", "asyncpg", "gateway.store.postgresql"]
    assert subprocess.run(command, capture_output=True, check=True, text=True, timeout=60).stdout.strip() == "[]"


async def test_a_ledger_of_a_newer_gateway_is_refused_and_left_as_it_is(make_dialect: MakeDialect) -> None:
    database = await Database.open(make_dialect())
    async with database.write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await database.close()
    with pytest.raises(WrongState, match=r"was written by a newer gateway .*'9999'.*start that version"):
        await Database.open(make_dialect())


async def test_a_file_that_is_no_ledger_is_refused_in_words_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"something else altogether " * 100)
    with pytest.raises(StorageFull, match="is damaged: file is not a database; restore a backup"):
        await Database.open(SQLite(path))
    assert path.read_bytes() == b"something else altogether " * 100
