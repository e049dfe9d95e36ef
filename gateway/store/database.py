"""The ledger's database: opened, brought to the present schema, and written to one transaction at a time."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import Connection, event
from sqlalchemy.exc import DatabaseError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from gateway.errors import GatewayError, Reason, StorageFull

BUSY_SECONDS = 5.0
"""How long a statement waits for another process that holds SQLite's lock, e.g. a backup."""

_SETTINGS = (
    "PRAGMA journal_mode=WAL",
    # FULL: a committed job survives a power cut, not only a crash.
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
)


class Database:
    """Give connections to the ledger; writes are serialised, reads are not."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._write_lock = asyncio.Lock()

    @classmethod
    async def open(cls, path: Path) -> Database:
        """Open or create the SQLite ledger and migrate it to the present schema.

        Raises:
            StorageFull: The file cannot be written, or is no ledger.

        """
        engine = create_async_engine(f"sqlite+aiosqlite:///{path}", connect_args={"timeout": BUSY_SECONDS})
        event.listen(engine.sync_engine, "connect", _configure)
        try:
            async with engine.connect() as connection:
                await connection.run_sync(_migrate)
        except (DatabaseError, CommandError, sqlite3.Error) as error:
            await engine.dispose()
            raise StorageFull(f"the ledger {path} cannot be opened: {_first_line(error)}") from error
        return cls(engine)

    async def close(self) -> None:
        """Close all connections."""
        await self._engine.dispose()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection that sees one consistent state."""
        async with self._engine.connect() as connection:
            yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection whose changes are all committed at the end, or none of them.

        Raises:
            StorageFull: The disk is full or not writable; nothing was changed.
            GatewayError: Another program holds the ledger (OVERLOADED); nothing was changed.

        """
        async with self._write_lock:
            try:
                async with self._engine.begin() as connection:
                    yield connection
            except DatabaseError as error:
                if "full" in str(error.orig) or "readonly" in str(error.orig) or "disk I/O" in str(error.orig):
                    raise StorageFull(f"the ledger cannot be written: {error.orig}; free some space") from error
                if "locked" in str(error.orig):
                    text = f"another program has held the ledger for {BUSY_SECONDS:g} s, e.g. a backup; try again"
                    raise GatewayError(text, reason=Reason.OVERLOADED) from error
                raise


def _configure(dbapi_connection: sqlite3.Connection, _record: object) -> None:
    cursor = dbapi_connection.cursor()
    for statement in _SETTINGS:
        cursor.execute(statement)
    cursor.close()


def _migrate(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    connection.commit()


def _first_line(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).splitlines()[0]
