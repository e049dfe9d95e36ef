"""Connections are in memory, and memory is what the table has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import event

from gateway.connections.model import Connection, ConnectionState
from gateway.errors import LedgerUnavailable
from gateway.paging import PageRequest
from gateway.store.connections import ConnectionStore, NameTaken
from gateway.store.database import Database
from gateway.store.dialect import Dialect
from gateway.store.engine import AsyncConnection

pytestmark = pytest.mark.unit

TABLES = 2  # connections, and the credentials that they had before
LAB = Connection(id="conn-1", connector_id="c", name="lab", created_at=datetime(2027, 1, 1, tzinfo=UTC))


@contextmanager
def statements(dialect: Dialect) -> Iterator[list[str]]:
    """Collect what is asked of the database."""
    found: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        found.append(statement)

    engines = [engine.sync_engine for engine in (dialect.reading, dialect.writing)]
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    yield found
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)


async def test_looking_a_connection_up_asks_the_database_once_and_again_behind_a_change(
    migrated: Dialect, database: Database
) -> None:
    store = ConnectionStore(database)
    await store.add(LAB, b"sealed")
    with statements(migrated) as asked:
        for _ in range(3):
            assert await store.get("lab") == await store.get("conn-1") == LAB
            assert await store.sealed("conn-1") == b"sealed"
            assert await store.names() == {"lab"}
            assert await store.page(PageRequest.parse(0, "")) == ([LAB], "")
        assert len(asked) == TABLES
        await store.rotate(replace(LAB, account="me"), b"other")
        asked.clear()
        assert await store.sealed("conn-1") == b"other"
        assert await store.get("lab") == replace(LAB, account="me")
        assert len(asked) == TABLES


async def test_whoever_reads_behind_a_change_sees_it_however_many_others_read_meanwhile(database: Database) -> None:
    store = ConnectionStore(database)
    await store.add(LAB, b"")
    is_over = asyncio.Event()

    async def read() -> None:
        while not is_over.is_set():
            assert await store.get("lab")
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(read())
        for number in range(30):
            changed = replace(LAB, state=ConnectionState.UNREACHABLE, message=str(number))
            await store.save(changed)
            assert await store.get("lab") == changed
        is_over.set()


async def test_a_name_that_is_taken_changes_nothing(database: Database) -> None:
    store = ConnectionStore(database)
    await store.add(LAB, b"")
    with pytest.raises(NameTaken):
        await store.add(replace(LAB, id="conn-2"), b"")
    assert await store.all() == [LAB]


async def test_a_change_of_which_it_is_not_known_whether_it_was_made_is_looked_up(migrated: Dialect) -> None:
    class Cut(Database):
        """Loses the connection behind each commit."""

        @asynccontextmanager
        async def write(self) -> AsyncIterator[AsyncConnection]:
            async with super().write() as connection:
                yield connection
            raise LedgerUnavailable("the connection was lost")

    database = await Cut.open(migrated)
    store = ConnectionStore(database)
    assert await store.all() == []
    with pytest.raises(LedgerUnavailable):
        await store.add(LAB, b"sealed")
    assert await store.get("lab") == LAB
    await database.close()
