"""The ledger's database: opened, brought to the present schema, and written to one transaction at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import TypeVarTuple

import structlog
from sqlalchemy import Executable, Row, Table, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql.selectable import TypedReturnsRows

from gateway.errors import GatewayError, LedgerTaken, LedgerUnavailable, StorageFull
from gateway.store import migrate
from gateway.store.dialect import Dialect, Upsert, first_line
from gateway.store.engine import AsyncConnection, Values

BEAT_SECONDS = 5.0
"""How long a gateway with nothing to write may not know that its ledger is gone, or is another gateway's."""

_Ts = TypeVarTuple("_Ts")

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Turn:
    """One use of the connection that writes."""

    is_committing: bool = False

    def commits(self) -> None:
        """Note that from now on nobody knows what becomes of the changes if nothing more is heard."""
        self.is_committing = True


class Database:
    """Give connections to the ledger; writes are serialised, reads are not."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._write_lock = asyncio.Lock()
        self._outages = 0
        self._outage = ""
        """What the last outage was; empty = there is none at present."""
        self.lost: asyncio.Future[GatewayError] = asyncio.get_running_loop().create_future()
        """Done once another gateway has taken the ledger: this one can never write again, and has to end."""

    @classmethod
    async def open(cls, dialect: Dialect) -> Database:
        """Open or create the ledger and migrate it to the present schema.

        Raises:
            StorageFull: It cannot be written, or is no ledger.
            LedgerUnavailable: Its server does not answer, or another program holds it.
            WrongState: Another gateway has it, or a newer one wrote it.

        """
        database = cls(dialect)
        try:
            with database._explaining():
                await database._prepare()
        except SQLAlchemyError as error:
            await database.close()
            raise StorageFull(f"{dialect.where} cannot be opened: {first_line(error)}") from error
        except BaseException:
            await database.close()
            raise
        return database

    async def close(self) -> None:
        """Close all connections."""
        for engine in {self._dialect.reading, self._dialect.migrating, self._dialect.writing}:
            await engine.dispose()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection that sees one consistent state.

        Raises:
            LedgerUnavailable: It cannot be reached at present.

        """
        with self._explaining():
            async with self._dialect.reading.connect() as connection:
                yield connection

    async def rows(self, statement: TypedReturnsRows[*_Ts], parameters: Values | None = None) -> Sequence[Row[*_Ts]]:
        """Ask one question, which is quicker than by a connection.

        Raises:
            LedgerUnavailable: It cannot be reached at present.

        """
        with self._explaining():
            return await self._dialect.reading.rows(statement, parameters)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection whose changes are all committed at the end, or none of them.

        Raises:
            StorageFull: The disk is full or not writable; nothing was changed.
            LedgerUnavailable: It cannot be reached, or another program holds it; nothing was changed, unless it
                `is_in_doubt`.

        """
        async with self._turn_to_write() as turn, self._dialect.writing.begin() as connection:
            yield connection
            turn.commits()

    async def apply(self, statements: Sequence[tuple[Executable, Values]]) -> None:
        """Make changes as `write` does that are all known beforehand, which is quicker."""
        async with self._turn_to_write() as turn:
            await self._dialect.writing.apply(statements, turn.commits)

    @asynccontextmanager
    async def erase(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection as `write` does; what its changes replace or delete leaves no trace in the file."""
        async with self.write() as connection:
            await self._dialect.before_erasing(connection)
            yield connection
        with self._explaining():
            await self._dialect.after_erasing()

    def upsert(self, table: Table) -> Upsert:
        """Begin an insert that can say what to do with a row that is there already."""
        return self._dialect.upsert(table)

    async def keep(self) -> None:
        """Hold a shared ledger, and notice in time when that is no longer possible; runs until it is cancelled."""
        while self._dialect.is_shared and not self.lost.done():
            await asyncio.sleep(BEAT_SECONDS)
            with suppress(GatewayError):
                async with self.write() as connection:
                    await connection.execute(text("SELECT 1"))

    @asynccontextmanager
    async def _turn_to_write(self) -> AsyncIterator[_Turn]:
        outages = self._outages
        async with self._write_lock:
            if self._outage and self._outages != outages:
                # Whoever waited while another one found out need not find out again.
                raise LedgerUnavailable(self._outage)
            turn = _Turn()
            try:
                with self._noting(), self._explaining():
                    yield turn
            except LedgerUnavailable as error:
                error.is_in_doubt = turn.is_committing
                raise

    async def _prepare(self) -> None:
        async with self._dialect.writing.connect(), self._dialect.migrating.connect() as connection:
            revision = await connection.run_sync(migrate.current_revision)
            migrate.check_known(revision, self._dialect.where)
            if revision != migrate.revisions()[-1]:
                await connection.rollback()
                await self._dialect.begin_migration(connection)
                await connection.run_sync(migrate.create if revision is None else migrate.upgrade)
                await connection.commit()
        await self._dialect.claim()

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        """Turn what databases say into what clients can act on."""
        try:
            yield
        except Exception as error:
            if known := self._dialect.known(error):
                raise known from error
            raise

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """Remember an outage until it is over, and tell of both once."""
        try:
            yield
        except LedgerTaken as error:
            if not self.lost.done():
                self.lost.set_result(error)
            raise
        except LedgerUnavailable as error:
            self._outages += 1
            if not self._outage:
                log.warning("ledger not available", error=error.message)
            self._outage = error.message
            raise
        if self._outage:
            log.info("ledger available again")
            self._outage = ""
