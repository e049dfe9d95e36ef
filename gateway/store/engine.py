"""Await SQLAlchemy's Core.

Its own package for that, `sqlalchemy.ext.asyncio`, imports the ORM, which nobody here uses: 7 MB in every gateway.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeAlias, TypeVar, TypeVarTuple, overload

from sqlalchemy import Connection, CursorResult, Engine, Executable, Result, Row, Transaction
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.sql.selectable import TypedReturnsRows

from gateway.store.calls import Calls

PAGE_ROWS = 500
"""Rows of a stream that are in memory at a time: many against the cost of a question, few against a list's length."""

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")
Values: TypeAlias = Mapping[str, object] | Sequence[Mapping[str, object]]


class AsyncConnection:
    """A connection on which every question is awaited."""

    def __init__(self, connection: Connection, calls: Calls) -> None:
        self._connection = connection
        self._calls = calls

    @overload
    async def execute(self, statement: TypedReturnsRows[*_Ts], parameters: Values | None = None) -> Result[*_Ts]: ...
    @overload
    async def execute(self, statement: Executable, parameters: Values | None = None) -> Result[*tuple[object, ...]]: ...
    async def execute(self, statement: Executable, parameters: Values | None = None) -> Result[*tuple[object, ...]]:
        """Execute a statement; all its rows are there then."""
        return await self._calls(_execute, self._connection, statement, parameters)

    @overload
    async def scalar(self, statement: TypedReturnsRows[_T]) -> _T | None: ...
    @overload
    async def scalar(self, statement: Executable) -> object: ...
    async def scalar(self, statement: Executable) -> object:
        """Return the first value of the first row."""
        return await self._calls(self._connection.scalar, statement)

    async def exec_driver_sql(self, statement: str) -> None:
        """Execute a statement in the driver's own words."""
        await self._calls(self._connection.exec_driver_sql, statement)

    @asynccontextmanager
    async def stream(self, statement: TypedReturnsRows[*_Ts]) -> AsyncIterator[AsyncIterator[Row[*_Ts]]]:
        """Give the rows without holding all of them in memory."""
        options = {"stream_results": True}
        result = await self._calls(partial(self._connection.execute, statement, execution_options=options))
        try:
            yield self._rows(result)
        finally:
            await self._calls.finish(result.close)

    async def run_sync(self, function: Callable[[Connection, *_Ts], _T], *arguments: *_Ts) -> _T:
        """Call a function that is written for a connection on which nothing is awaited."""
        return await self._calls(function, self._connection, *arguments)

    async def commit(self) -> None:
        """Commit what was done since the last commit."""
        await self._calls(self._connection.commit)

    async def rollback(self) -> None:
        """Undo what was done since the last commit."""
        await self._calls(self._connection.rollback)

    async def _rows(self, result: CursorResult[*_Ts]) -> AsyncIterator[Row[*_Ts]]:
        while page := await self._calls(result.fetchmany, PAGE_ROWS):
            for row in page:
                yield row


class AsyncEngine:
    """Gives connections out of a pool."""

    def __init__(self, sync_engine: Engine, calls: Calls, *, most: int = 0, patience_seconds: float = 0.0) -> None:
        """Take a pool, and how its connections are used.

        Args:
            sync_engine: The pool.
            calls: How what blocks is awaited.
            most: Connections that there may be, where waiting for one would block a thread; 0 = the pool itself waits.
            patience_seconds: How long to wait for one of them.

        """
        self.sync_engine = sync_engine
        self._calls = calls
        self._places = asyncio.Semaphore(most) if most else None
        self._patience_seconds = patience_seconds

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection; what is not committed at the end is undone."""
        async with self._opened() as connection:
            yield AsyncConnection(connection, self._calls)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection in a transaction, which is committed unless the block raises."""
        async with self._opened() as connection:
            transaction = connection.begin()
            yield AsyncConnection(connection, self._calls)
            await self._calls(_commit, transaction, connection)

    async def rows(self, statement: TypedReturnsRows[*_Ts], parameters: Values | None = None) -> Sequence[Row[*_Ts]]:
        """Ask one question, and return all its rows."""
        async with self._place():
            return await self._calls(_rows, self.sync_engine, statement, parameters)

    async def apply(self, statements: Sequence[tuple[Executable, Values]], on_commit: Callable[[], None]) -> None:
        """Make changes in one transaction, none of which returns rows; says so when it begins to commit them."""
        async with self._place():
            await self._calls(_apply, self.sync_engine, statements, on_commit)

    async def dispose(self) -> None:
        """Close the connections that nobody uses."""
        await self._calls(self.sync_engine.dispose)
        self._calls.close()

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Connection]:
        async with self._place():
            connection = await self._calls(self.sync_engine.connect)
            try:
                yield connection
            finally:
                if not connection.closed:
                    # Whole even where the caller is cancelled: one that is half given back is lost to the pool.
                    await self._calls.finish(connection.close)

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        if self._places is None:
            yield
            return
        if self._places.locked():
            await self._wait_for(self._places)
        else:
            await self._places.acquire()
        try:
            yield
        finally:
            self._places.release()

    async def _wait_for(self, places: asyncio.Semaphore) -> None:
        try:
            async with asyncio.timeout(self._patience_seconds):
                await places.acquire()
        except TimeoutError:
            raise PoolTimeout("all connections are in use") from None


def _execute(connection: Connection, statement: Executable, parameters: Values | None) -> Result[*tuple[object, ...]]:
    result = connection.execute(statement, parameters)
    # What a driver has not sent yet would be fetched, and waited for, where nothing may wait.
    return result.freeze()() if result.returns_rows else result


def _rows(engine: Engine, statement: TypedReturnsRows[*_Ts], parameters: Values | None) -> Sequence[Row[*_Ts]]:
    with engine.connect() as connection:
        return connection.execute(statement, parameters).all()


def _apply(engine: Engine, statements: Sequence[tuple[Executable, Values]], on_commit: Callable[[], None]) -> None:
    with engine.connect() as connection, connection.begin() as transaction:
        for statement, parameters in statements:
            connection.execute(statement, parameters)
        on_commit()
        transaction.commit()


def _commit(transaction: Transaction, connection: Connection) -> None:
    transaction.commit()
    connection.close()
