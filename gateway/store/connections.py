"""Connections and their sealed credentials, as rows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from gateway.connections.model import Connection, ConnectionState
from gateway.paging import PageRequest
from gateway.store.columns import micros, micros_or_none, moment, moment_or_none
from gateway.store.database import Database
from gateway.store.schema import connections, former_credentials, jobs


class NameTaken(Exception):
    """Raised when another connection has the name."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What the table has."""

    connections: Sequence[Connection]
    """By id, which is by age."""
    found: Mapping[str, Connection]
    """By id and by name; an id comes before an equal name."""
    sealed: Mapping[str, bytes]
    former: Sequence[Row[tuple[object, ...]]]
    """Credentials that were replaced, one row for each job that began with them."""


class ConnectionStore:
    """Keep connections; sealed credentials leave no trace once they are replaced or removed and no job may print them.

    There are few of them, and every call to a platform needs its one: what the table has stays in memory as well.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: _Known | None = None
        self._using_table = asyncio.Lock()
        """What is read into memory is never older than what was written last."""

    async def add(self, connection: Connection, sealed: bytes) -> None:
        """Keep a new connection.

        Raises:
            NameTaken: Another connection has its name.

        """
        values = {**_values(connection), "id": connection.id, "credentials": sealed}
        try:
            async with self._changing(), self._database.write() as db:
                await db.execute(insert(connections).values(values))
        except IntegrityError as error:
            raise NameTaken(connection.name) from error

    async def get(self, id_or_name: str) -> Connection | None:
        """Find a connection; an id comes before an equal name."""
        return (await self._table()).found.get(id_or_name)

    async def page(self, page: PageRequest, connector_id: str = "") -> tuple[list[Connection], str]:
        """List connections by id, which is by age, with the token of the next page."""
        found = [one for one in await self.all() if connector_id in ("", one.connector_id)]
        return page.cut([(one.id, one) for one in found])

    async def all(self) -> list[Connection]:
        """List all connections, oldest first."""
        return list((await self._table()).connections)

    async def names(self) -> frozenset[str]:
        """List the names that are taken."""
        return frozenset(connection.name for connection in await self.all())

    async def sealed(self, connection_id: str) -> bytes | None:
        """Get the sealed credentials of a connection; None = there is no such connection."""
        return (await self._table()).sealed.get(connection_id)

    async def save(self, connection: Connection) -> None:
        """Keep how a connection is now; one that is gone stays gone."""
        async with self._changing(), self._database.write() as db:
            await db.execute(update(connections).where(connections.c.id == connection.id).values(_values(connection)))

    async def rotate(self, connection: Connection, sealed: bytes) -> None:
        """Replace the sealed credentials, leaving the old ones in the file for jobs alone that may still print them."""
        values = {**_values(connection), "credentials": sealed}
        printing = (
            select(connections.c.id, jobs.c.id, connections.c.credentials)
            .join(jobs, jobs.c.connection_id == connections.c.id)
            .where(connections.c.id == connection.id, jobs.c.is_log_open == 1)
        )
        columns = ["connection_id", "job_id", "credentials"]
        async with self._changing(), self._database.erase() as db:
            await db.execute(insert(former_credentials).from_select(columns, printing))
            await db.execute(update(connections).where(connections.c.id == connection.id).values(values))

    async def former(self, connection_id: str) -> list[bytes]:
        """Get the sealed credentials that jobs of a connection began with and that were replaced since."""
        rows = (row for row in (await self._table()).former if row.connection_id == connection_id)
        return list(dict.fromkeys(bytes(row.credentials) for row in rows))

    async def drop_former(self, job_id: str = "") -> None:
        """Delete what was replaced and no job prints any more, leaving nothing of it in the file.

        Args:
            job_id: A job that has ended: if it began with none of it, nothing is done; empty = look at all.

        """
        if not any(job_id in ("", row.job_id) for row in (await self._table()).former):
            return
        printing = select(jobs.c.id).where(jobs.c.is_log_open == 1)
        async with self._changing(), self._database.erase() as db:
            await db.execute(delete(former_credentials).where(former_credentials.c.job_id.not_in(printing)))

    async def remove(self, connection_id: str) -> None:
        """Delete a connection, leaving nothing of its credentials in the file."""
        async with self._changing(), self._database.erase() as db:
            await db.execute(delete(former_credentials).where(former_credentials.c.connection_id == connection_id))
            await db.execute(delete(connections).where(connections.c.id == connection_id))

    async def _table(self) -> _Known:
        if (known := self._known) is not None:
            return known
        async with self._using_table:
            if self._known is None:
                async with self._database.read() as db:
                    rows = (await db.execute(select(connections))).all()
                    self._known = _known(rows, (await db.execute(select(former_credentials))).all())
            return self._known

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[None]:
        """Have the table read again behind a change, also one of which it is not known whether it was made."""
        async with self._using_table:
            try:
                yield
            finally:
                self._known = None


def _known(rows: Sequence[Row[tuple[object, ...]]], former: Sequence[Row[tuple[object, ...]]]) -> _Known:
    # Sorted here: databases sort text by rules of their own.
    found = sorted(map(_connection, rows), key=lambda connection: connection.id)
    by_name = {connection.name: connection for connection in found}
    by_id = {connection.id: connection for connection in found}
    return _Known(found, by_name | by_id, {row.id: bytes(row.credentials) for row in rows}, former)


def _values(connection: Connection) -> dict[str, str | int | bytes | None]:
    return {
        "connector_id": connection.connector_id,
        "name": connection.name,
        "account": connection.account,
        "state": connection.state.value,
        "message": connection.message,
        "created_at": micros(connection.created_at),
        "verified_at": micros_or_none(connection.verified_at),
    }


def _connection(row: Row[tuple[object, ...]]) -> Connection:
    return Connection(
        id=row.id,
        connector_id=row.connector_id,
        name=row.name,
        created_at=moment(row.created_at),
        account=row.account,
        state=ConnectionState(row.state),
        message=row.message,
        verified_at=moment_or_none(row.verified_at),
    )
