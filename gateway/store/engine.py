"""Await SQLAlchemy's Core.

Its own package for that, `sqlalchemy.ext.asyncio`, imports the ORM, which nobody here uses: 7 MB in every gateway.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar, TypeVarTuple, overload

from sqlalchemy import Connection, CursorResult, Engine, Executable, Row, ScalarResult
from sqlalchemy.sql.selectable import TypedReturnsRows
from sqlalchemy.util import greenlet_spawn

PAGE_ROWS = 500
"""Rows of a stream that are in memory at a time: many against the cost of a question, few against a list's length."""

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")
_Values = Mapping[str, object] | Sequence[Mapping[str, object]]


class AsyncConnection:
    """A connection on which every question is awaited."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @overload
    async def execute(
        self, statement: TypedReturnsRows[*_Ts], parameters: _Values | None = None
    ) -> CursorResult[*_Ts]: ...
    @overload
    async def execute(
        self, statement: Executable, parameters: _Values | None = None
    ) -> CursorResult[*tuple[object, ...]]: ...
    async def execute(
        self, statement: Executable, parameters: _Values | None = None
    ) -> CursorResult[*tuple[object, ...]]:
        """Execute a statement; all its rows are there then."""
        return await greenlet_spawn(self._connection.execute, statement, parameters)

    @overload
    async def scalar(self, statement: TypedReturnsRows[_T]) -> _T | None: ...
    @overload
    async def scalar(self, statement: Executable) -> object: ...
    async def scalar(self, statement: Executable) -> object:
        """Return the first value of the first row."""
        return await greenlet_spawn(self._connection.scalar, statement)

    async def scalars(self, statement: TypedReturnsRows[_T]) -> ScalarResult[_T]:
        """Return the first value of every row."""
        return await greenlet_spawn(self._connection.scalars, statement)

    async def exec_driver_sql(self, statement: str) -> None:
        """Execute a statement in the driver's own words."""
        await greenlet_spawn(self._connection.exec_driver_sql, statement)

    @asynccontextmanager
    async def stream(self, statement: TypedReturnsRows[*_Ts]) -> AsyncIterator[AsyncIterator[Row[*_Ts]]]:
        """Give the rows without holding all of them in memory."""
        options = {"stream_results": True}
        result = await greenlet_spawn(self._connection.execute, statement, execution_options=options)
        try:
            yield _rows(result)
        finally:
            await greenlet_spawn(result.close)

    async def run_sync(self, function: Callable[[Connection, *_Ts], _T], *arguments: *_Ts) -> _T:
        """Call a function that is written for a connection on which nothing is awaited."""
        return await greenlet_spawn(function, self._connection, *arguments)

    async def commit(self) -> None:
        """Commit what was done since the last commit."""
        await greenlet_spawn(self._connection.commit)

    async def rollback(self) -> None:
        """Undo what was done since the last commit."""
        await greenlet_spawn(self._connection.rollback)


class AsyncEngine:
    """Gives connections out of a pool, whose driver is one of asyncio's."""

    def __init__(self, sync_engine: Engine) -> None:
        self.sync_engine = sync_engine

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection; what is not committed at the end is undone."""
        connection = await greenlet_spawn(self.sync_engine.connect)
        try:
            yield AsyncConnection(connection)
        finally:
            # Whole even where the caller is cancelled: a connection that is half given back is lost to the pool.
            await asyncio.shield(asyncio.create_task(greenlet_spawn(connection.close)))

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection in a transaction, which is committed unless the block raises."""
        async with self.connect() as connection:
            transaction = await connection.run_sync(Connection.begin)
            try:
                yield connection
            except BaseException:
                await greenlet_spawn(transaction.__exit__, *sys.exc_info())
                raise
            await greenlet_spawn(transaction.__exit__, None, None, None)

    async def dispose(self) -> None:
        """Close the connections that nobody uses."""
        await greenlet_spawn(self.sync_engine.dispose)


async def _rows(result: CursorResult[*_Ts]) -> AsyncIterator[Row[*_Ts]]:
    while page := await greenlet_spawn(result.fetchmany, PAGE_ROWS):
        for row in page:
            yield row
