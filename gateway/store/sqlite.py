"""The embedded ledger: one SQLite file in the data folder, which the folder's lock keeps to one gateway."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import Table, create_engine, event, text
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DatabaseError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from gateway.errors import GatewayError, LedgerUnavailable, StorageFull
from gateway.store.calls import Threads
from gateway.store.dialect import Upsert, first_line
from gateway.store.engine import AsyncConnection, AsyncEngine

BUSY_SECONDS = 5.0
"""How long a statement waits for another process that holds SQLite's lock, e.g. a backup."""

POOL_SECONDS = 30.0
"""How long a read waits for its turn: a client that takes a list slowly holds a connection meanwhile."""

READERS = 16
READER_THREADS = 4
"""Reads that are at work at a time; a connection that a client holds has none."""

_SETTINGS = (
    "PRAGMA journal_mode=WAL",
    # FULL: a committed job survives a power cut, not only a crash.
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
)
_UNWRITABLE = ("full", "readonly", "disk I/O", "unable to open")


class SQLite:
    """A ledger in a file."""

    is_shared = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.where = f"the ledger {path}"
        self.reading = self.migrating = self._engine(READERS, READER_THREADS)
        # Of its own, so that no number of readers makes a write wait for a connection.
        self.writing = self._engine(1, 1)
        for engine in (self.reading, self.writing):
            event.listen(engine.sync_engine, "connect", _configure)

    def _engine(self, most: int, threads: int) -> AsyncEngine:
        settings, sizes = {"timeout": BUSY_SECONDS}, {"pool_size": threads, "max_overflow": most - threads}
        engine = create_engine(f"sqlite:///{self.path}", connect_args=settings, **sizes)
        return AsyncEngine(engine, Threads(threads), most=most, patience_seconds=POOL_SECONDS)

    async def begin_migration(self, connection: AsyncConnection) -> None:
        """Take the lock now: by itself, SQLite's driver commits every change of a table at once."""
        await connection.exec_driver_sql("BEGIN IMMEDIATE")

    async def claim(self) -> None:
        """Do nothing: the data folder is held already."""

    async def before_erasing(self, connection: AsyncConnection) -> None:
        """Overwrite what is deleted with zeros."""
        await connection.execute(text("PRAGMA secure_delete=ON"))

    async def after_erasing(self) -> None:
        """Truncate the write-ahead log, which still has the pages as they were."""
        async with self.reading.connect() as connection:
            await connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))

    def upsert(self, table: Table) -> Upsert:
        """Begin an insert that can replace."""
        return insert(table)

    def known(self, error: Exception) -> GatewayError | None:
        """Say what an error means to a client."""
        if isinstance(error, PoolTimeout):
            return LedgerUnavailable("the ledger has too much to do; try again")
        if not isinstance(error, DBAPIError | sqlite3.Error) or isinstance(error, IntegrityError):
            return None
        words = first_line(error)
        if any(word in words for word in _UNWRITABLE):
            return StorageFull(f"{self.where} cannot be used: {words}; free some space")
        if "locked" in words:
            text = f"another program has held the ledger for {BUSY_SECONDS:g} s, e.g. a backup; try again"
            return LedgerUnavailable(text)
        is_damaged = isinstance(error, DatabaseError) and ("malformed" in words or "not a database" in words)
        return StorageFull(f"{self.where} is damaged: {words}; restore a backup") if is_damaged else None


def _configure(dbapi_connection: sqlite3.Connection, _record: object) -> None:
    cursor = dbapi_connection.cursor()
    for statement in _SETTINGS:
        cursor.execute(statement)
    cursor.close()
