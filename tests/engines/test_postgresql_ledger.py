"""Who has a ledger on a server, and what the server's troubles are to those who use it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from sqlalchemy import Connection, text

from gateway.errors import GatewayError, LedgerTaken, LedgerUnavailable, StorageFull, WrongState
from gateway.store import postgresql as postgresql_module
from gateway.store.connectors import DisabledConnectors
from gateway.store.database import Database
from gateway.store.ledger_url import LedgerUrl
from gateway.store.postgresql import PostgreSQL
from tests.support.postgresql import PostgreSQLServer
from tests.support.signals import send

pytestmark = pytest.mark.engines

HOLDERS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'"


@pytest.fixture
def name(own_server: PostgreSQLServer) -> Iterator[str]:
    made = own_server.create()
    yield made
    own_server.drop(made)


@asynccontextmanager
async def opened(server: PostgreSQLServer, name: str) -> AsyncIterator[tuple[Database, PostgreSQL]]:
    dialect = PostgreSQL(LedgerUrl.parse(server.url(name)))
    database = await Database.open(dialect)
    try:
        yield database, dialect
    finally:
        await database.close()


def _detached(connection: Connection) -> asyncpg.Connection:
    """Take a connection out of its pool, which then knows nothing of it any more, while the server does."""
    proxied = connection.connection
    driver = proxied.driver_connection
    proxied.detach()
    return driver


async def write(database: Database, *connectors: str) -> None:
    """Write something, and find it again."""
    await DisabledConnectors(database).save(set(connectors))
    assert await DisabledConnectors(database).load() == set(connectors)


async def test_a_second_gateway_waits_a_moment_for_one_that_ends_and_is_refused_by_one_that_does_not(
    own_server: PostgreSQLServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(own_server, name) as (first, _):
        monkeypatch.setattr(postgresql_module, "CLAIM_SECONDS", 0.2)
        with pytest.raises(LedgerTaken, match="another gateway has the PostgreSQL ledger"):
            await Database.open(PostgreSQL(LedgerUrl.parse(own_server.url(name))))
        await write(first, "a")
        monkeypatch.undo()
        opening = asyncio.create_task(Database.open(PostgreSQL(LedgerUrl.parse(own_server.url(name)))))
        await asyncio.sleep(0)
    second = await opening
    await write(second, "b")
    await second.close()


async def test_connections_that_are_cut_are_made_again_and_the_ledger_is_held_by_one(
    own_server: PostgreSQLServer, name: str
) -> None:
    async with opened(own_server, name) as (database, _):
        for round_number in range(3):
            await write(database, str(round_number))
            await asyncio.to_thread(own_server.sql, CUT.format(name))
        await write(database, "after")
        assert own_server.sql(HOLDERS) == "1"


async def test_an_own_session_that_the_server_still_believes_in_is_ended(
    own_server: PostgreSQLServer, name: str
) -> None:
    async with opened(own_server, name) as (database, dialect), dialect.writing.connect() as lost:
        driver = await lost.run_sync(_detached)
        await write(database, "a")
        assert own_server.sql(HOLDERS) == "1"
        driver.terminate()


async def test_a_gateway_that_was_cut_off_while_another_one_had_the_ledger_never_writes_again(
    own_server: PostgreSQLServer, name: str
) -> None:
    async with opened(own_server, name) as (first, _):
        await write(first, "a")
        await asyncio.to_thread(own_server.sql, CUT.format(name))
        async with opened(own_server, name) as (second, _):
            await write(second, "b")
        # The lock is free, and the ledger is no longer what the first one knows.
        for _ in range(2):
            with pytest.raises(LedgerTaken, match="another gateway took"):
                await write(first, "c")
        assert isinstance(first.lost.result(), LedgerTaken)
        assert await DisabledConnectors(first).load() == {"b"}


async def test_a_write_that_is_given_up_in_the_middle_changes_nothing_and_hinders_no_other(
    own_server: PostgreSQLServer, name: str
) -> None:
    async with opened(own_server, name) as (database, _):
        await write(database, "a")
        began = asyncio.Event()

        async def slow() -> None:
            async with database.write() as connection:
                await connection.execute(text("DELETE FROM disabled_connectors"))
                began.set()
                await connection.execute(text("SELECT pg_sleep(60)"))

        writing = asyncio.create_task(slow())
        await began.wait()
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        assert await DisabledConnectors(database).load() == {"a"}
        await write(database, "b")


async def test_a_server_that_falls_silent_is_given_up_in_time_and_used_again_when_it_is_back(
    own_server: PostgreSQLServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_module, "CONNECT_SECONDS", 0.5)
    monkeypatch.setattr(postgresql_module, "ANSWER_SECONDS", 0.5)
    async with opened(own_server, name) as (database, _):
        await write(database, "a")
        processes = own_server.processes()
        try:
            for process in processes:
                send(process, signal.SIGSTOP)
            async with asyncio.timeout(20):
                # All wait for the one that finds out.
                answers = await asyncio.gather(
                    *(write(database, str(number)) for number in range(20)), return_exceptions=True
                )
                assert {type(answer) for answer in answers} == {LedgerUnavailable}
                with pytest.raises(LedgerUnavailable):
                    await DisabledConnectors(database).load()
        finally:
            for process in processes:
                send(process, signal.SIGCONT)
        async with asyncio.timeout(20):
            while True:
                try:
                    await write(database, "b")
                    return
                except LedgerUnavailable:
                    await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("code", "kind"), [("53100", StorageFull), ("25006", LedgerUnavailable), ("53300", LedgerUnavailable)]
)
async def test_what_a_server_complains_of_is_said_in_words(
    own_server: PostgreSQLServer, name: str, code: str, kind: type[GatewayError]
) -> None:
    async with opened(own_server, name) as (database, _):
        await write(database, "a")

        async def fail() -> None:
            async with database.write() as connection:
                await connection.execute(text("DELETE FROM disabled_connectors"))
                await connection.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'oh' USING ERRCODE = '{code}'; END $$"))

        with pytest.raises(kind, match="the PostgreSQL ledger"):
            await fail()
        assert await DisabledConnectors(database).load() == {"a"}
        await write(database, "b")


async def test_a_database_that_is_not_there_and_one_that_may_not_be_changed_are_named(
    own_server: PostgreSQLServer, name: str
) -> None:
    with pytest.raises(LedgerUnavailable, match='database "nowhere" does not exist'):
        await Database.open(PostgreSQL(LedgerUrl.parse(own_server.url("nowhere"))))
    own_server.sql("CREATE ROLE guest LOGIN")
    url = own_server.url(name).replace("peft@", "guest@")
    with pytest.raises((StorageFull, WrongState), match="permission denied"):
        await Database.open(PostgreSQL(LedgerUrl.parse(url)))
    own_server.sql("DROP ROLE guest")


async def test_a_connection_that_is_lost_in_the_commit_leaves_a_doubt_that_the_next_one_settles(
    own_server: PostgreSQLServer, name: str
) -> None:
    """The server dawdles over the commit, and is cut off meanwhile."""
    own_server.sql(
        "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END'",
        name,
    )
    async with opened(own_server, name) as (database, _):
        await write(database, "a")
        own_server.sql(
            "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON disabled_connectors DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION dawdle()",
            name,
        )
        writing = asyncio.create_task(DisabledConnectors(database).save({"b"}))
        sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        async with asyncio.timeout(10):
            while await asyncio.to_thread(own_server.sql, sleeping) == "0":  # noqa: ASYNC110 - in another process
                await asyncio.sleep(0.01)
        await asyncio.to_thread(own_server.sql, CUT.format(name))
        with pytest.raises(LedgerUnavailable) as failure:
            await writing
        assert failure.value.is_in_doubt
        async with database.write() as connection:
            found = (await connection.execute(text("SELECT connector_id FROM disabled_connectors"))).scalars().all()
        assert found == ["a"]
