"""A ledger on a PostgreSQL server: reads over a pool, writes over the one connection that holds the ledger.

That connection takes an advisory lock before it is used for anything: it is the only way to write, so that whoever
writes has the lock, and whoever lost the connection has neither. The table `ledger_owner` says which run of a gateway
had the lock last: a gateway that takes the lock again after a cut and finds another's name knows that the ledger
changed behind its back, and gives up.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import AdaptedConnection, Table, create_engine, delete, event, insert
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import DBAPIError, DisconnectionError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from gateway.errors import GatewayError, LedgerTaken, LedgerUnavailable, StorageFull, WrongState
from gateway.store.dialect import Upsert, first_line
from gateway.store.engine import AsyncConnection, AsyncEngine
from gateway.store.greenlets import Greenlets
from gateway.store.ledger_url import LedgerUrl
from gateway.store.schema import ledger_owner

if TYPE_CHECKING:
    import asyncpg

CONNECT_SECONDS = 5.0
"""How long a server may take to answer: a call that waits for it must not seem to hang."""

ANSWER_SECONDS = 5.0
"""How long a connection out of the pool may take to show that it is alive."""

USE_SECONDS = 60.0
"""Longest use of a connection, many times that of the longest list: a silent server would hold it for ever."""

POOL_SECONDS = 5.0
"""How long a read waits for its turn."""

CLAIM_SECONDS = 5.0
"""How long the lock of a gateway that has just died may last: until the server has noticed."""

CLAIM_PAUSE_SECONDS = 0.1

READERS = 5
MORE_READERS = 5

OWNER_BYTES = 8

_TAKE = "SELECT pg_try_advisory_lock(hashtext('peftstudio ledger'), hashtext(current_schema()))"
_END_OWN = """SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
WHERE locktype = 'advisory' AND granted AND datname = current_database() AND pid = $1"""
_SERVER_SETTINGS = {
    "application_name": "peftstudio",
    # A committed job survives a power cut of the server.
    "synchronous_commit": "on",
    # A gateway whose machine is gone gives the ledger free within two minutes.
    "tcp_keepalives_idle": "60",
    "tcp_keepalives_interval": "15",
    "tcp_keepalives_count": "4",
}

_DRIVER = "postgresql+asyncpg://"
_CREATOR = "async_creator_fn"
"""What SQLAlchemy calls the function by which its adapter of asyncpg connects."""

_TIMER = "timer"

_DISK_FULL, _READ_ONLY = "53100", "25006"
_PASSING = ("08", "25", "28", "3D", "40", "53", "55", "57", "58")
"""Classes of SQLSTATE that say something of the server's present state, and nothing of the statement."""


class PostgreSQL:
    """A ledger on a server."""

    is_shared = True

    def __init__(self, url: LedgerUrl) -> None:
        try:
            import asyncpg  # noqa: F401 - who keeps the ledger in a file need not have it
        except ImportError as error:
            text = "a ledger on PostgreSQL needs asyncpg: pip install 'peftstudio-connect[gateway,postgres]'"
            raise WrongState(text) from error
        self.where = url.where
        self.url = url
        self._owner = ""
        """The name of this run of the gateway in the ledger; empty until it is there."""
        self._holder = 0
        """Process of the server that has the lock, or had it last."""
        self.reading = self._engine(
            self._connect,
            isolation_level="REPEATABLE READ",
            pool_size=READERS,
            max_overflow=MORE_READERS,
            pool_timeout=POOL_SECONDS,
        )
        self.writing = self._engine(self._connect_as_holder, pool_size=1, max_overflow=0)
        self.migrating = self._engine(self._connect, poolclass=NullPool)
        for engine in (self.reading, self.writing):
            event.listen(engine.sync_engine, "checkout", _check_out)
            event.listen(engine.sync_engine, "checkin", _check_in)

    def _engine(self, connect: Callable[[], Awaitable[asyncpg.Connection]], **options: object) -> AsyncEngine:
        return AsyncEngine(create_engine(_DRIVER, connect_args={_CREATOR: connect}, **options), Greenlets())

    async def begin_migration(self, connection: AsyncConnection) -> None:
        """Do nothing: here, changes of tables are part of a transaction like others."""

    async def claim(self) -> None:
        """Write this gateway's name into the ledger."""
        name = secrets.token_hex(OWNER_BYTES)
        async with self.writing.begin() as connection:
            await connection.execute(delete(ledger_owner))
            await connection.execute(insert(ledger_owner).values(id=name))
        self._owner = name

    async def before_erasing(self, connection: AsyncConnection) -> None:
        """Do nothing: a server keeps old versions of rows, and its log of them, as its own operators decide."""

    async def after_erasing(self) -> None:
        """Do nothing, as before."""

    def upsert(self, table: Table) -> Upsert:
        """Begin an insert that can replace."""
        return upsert(table)

    def known(self, error: Exception) -> GatewayError | None:
        """Say what an error means to a client."""
        if isinstance(error, IntegrityError):
            return None
        if isinstance(error, PoolTimeout):
            return LedgerUnavailable("the ledger has too much to do; try again")
        cause = error.orig if isinstance(error, DBAPIError) else error
        code = getattr(cause, "sqlstate", None)
        if code == _DISK_FULL:
            return StorageFull(f"the disk of {self.where} is full; free some space there")
        if code == _READ_ONLY:
            return LedgerUnavailable(f"{self.where} is read-only at present, as a standby is; try again")
        is_cut = isinstance(error, DBAPIError) and error.connection_invalidated
        if is_cut or _class(cause) in _PASSING or isinstance(cause, OSError | TimeoutError) or _is_closed(cause):
            return LedgerUnavailable(f"{self.where} cannot be used at present: {first_line(error)}; try again")
        return None

    async def _connect(self) -> asyncpg.Connection:
        import asyncpg

        try:
            return await asyncpg.connect(self.url.text, timeout=CONNECT_SECONDS, server_settings=_SERVER_SETTINGS)
        except ValueError:
            # Its own words may quote the URL.
            text = f"the URL of {self.where} has settings that cannot be used; docs/operations.md shows its form"
            raise WrongState(text) from None
        except asyncpg.PostgresError as error:
            if _class(error) in _PASSING:
                raise
            raise WrongState(f"{self.where} cannot be used: {first_line(error)}") from error

    async def _connect_as_holder(self) -> asyncpg.Connection:
        connection = await self._connect()
        try:
            with _ended_after(CLAIM_SECONDS + ANSWER_SECONDS, connection):
                await self._hold(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def _hold(self, connection: asyncpg.Connection) -> None:
        """Take the lock, or find out that another gateway has it."""
        deadline = time.monotonic() + CLAIM_SECONDS
        while not await connection.fetchval(_TAKE):
            await self._check_owner(connection)
            if time.monotonic() > deadline:
                raise LedgerTaken(f"another gateway has {self.where}; stop it, or choose another ledger")
            # An own connection may have broken without the server's noticing.
            await connection.execute(_END_OWN, self._holder)
            await asyncio.sleep(CLAIM_PAUSE_SECONDS)
        await self._check_owner(connection)
        self._holder = connection.get_server_pid()

    async def _check_owner(self, connection: asyncpg.Connection) -> None:
        if self._owner and self._owner != await connection.fetchval("SELECT id FROM ledger_owner"):
            text = f"another gateway took {self.where} while this one could not reach it; start this one anew"
            raise LedgerTaken(f"{text}, on a ledger of its own")


@contextmanager
def _ended_after(seconds: float, connection: asyncpg.Connection) -> Iterator[None]:
    """Cut a connection that takes longer. The driver's own time-outs wait for the server's consent."""
    timer = asyncio.get_running_loop().call_later(seconds, connection.terminate)
    try:
        yield
    finally:
        timer.cancel()


def _check_out(connection: AdaptedConnection, record: ConnectionPoolEntry, _proxy: object) -> None:
    """Make sure that a connection of the pool is alive, and does not outlast its use."""
    connection.run_async(_ping)
    record.info[_TIMER] = asyncio.get_running_loop().call_later(USE_SECONDS, connection.driver_connection.terminate)


def _check_in(_connection: AdaptedConnection | None, record: ConnectionPoolEntry) -> None:
    if timer := record.info.pop(_TIMER, None):
        timer.cancel()


async def _ping(connection: asyncpg.Connection) -> None:
    import asyncpg

    try:
        with _ended_after(ANSWER_SECONDS, connection):
            await connection.execute("SELECT 1")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
        # The pool takes another one then.
        raise DisconnectionError from error


def _class(error: BaseException | None) -> str:
    return str(getattr(error, "sqlstate", None) or "")[:2]


def _is_closed(error: BaseException | None) -> bool:
    return "connection is closed" in str(error) or "connection was closed" in str(error)
