"""Connections and their sealed credentials, as rows."""

from __future__ import annotations

from sqlalchemy import Row, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from gateway.connections.model import Connection, ConnectionState
from gateway.paging import PageRequest
from gateway.store.columns import micros, micros_or_none, moment, moment_or_none
from gateway.store.database import Database
from gateway.store.schema import connections

_COLUMNS = [column for column in connections.c if column.name != "credentials"]


class NameTaken(Exception):
    """Raised when another connection has the name."""


class ConnectionStore:
    """Keep connections; sealed credentials leave no trace once they are replaced or removed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, connection: Connection, sealed: bytes) -> None:
        """Keep a new connection.

        Raises:
            NameTaken: Another connection has its name.

        """
        values = {**_values(connection), "id": connection.id, "credentials": sealed}
        try:
            async with self._database.write() as db:
                await db.execute(insert(connections).values(values))
        except IntegrityError as error:
            raise NameTaken(connection.name) from error

    async def get(self, id_or_name: str) -> Connection | None:
        """Find a connection; an id comes before an equal name."""
        match = or_(connections.c.id == id_or_name, connections.c.name == id_or_name)
        async with self._database.read() as db:
            rows = (await db.execute(select(*_COLUMNS).where(match))).all()
        found = sorted((_connection(row) for row in rows), key=lambda connection: connection.id != id_or_name)
        return found[0] if found else None

    async def page(self, page: PageRequest, connector_id: str = "") -> tuple[list[Connection], str]:
        """List connections by id, which is by age, with the token of the next page."""
        query = select(*_COLUMNS).where(connections.c.id > page.after).order_by(connections.c.id).limit(page.size + 1)
        if connector_id:
            query = query.where(connections.c.connector_id == connector_id)
        async with self._database.read() as db:
            rows = (await db.execute(query)).all()
        return page.cut([(str(row.id), _connection(row)) for row in rows])

    async def all(self) -> list[Connection]:
        """List all connections, oldest first."""
        async with self._database.read() as db:
            rows = (await db.execute(select(*_COLUMNS).order_by(connections.c.id))).all()
        return [_connection(row) for row in rows]

    async def names(self) -> frozenset[str]:
        """List the names that are taken."""
        return frozenset(connection.name for connection in await self.all())

    async def sealed(self, connection_id: str) -> bytes | None:
        """Get the sealed credentials of a connection; None = there is no such connection."""
        query = select(connections.c.credentials).where(connections.c.id == connection_id)
        async with self._database.read() as db:
            value = (await db.execute(query)).scalar_one_or_none()
        return None if value is None else bytes(value)

    async def save(self, connection: Connection) -> None:
        """Keep how a connection is now; one that is gone stays gone."""
        async with self._database.write() as db:
            await db.execute(update(connections).where(connections.c.id == connection.id).values(_values(connection)))

    async def rotate(self, connection: Connection, sealed: bytes) -> None:
        """Replace the sealed credentials, leaving nothing of the old ones in the file."""
        values = {**_values(connection), "credentials": sealed}
        async with self._database.erase() as db:
            await db.execute(update(connections).where(connections.c.id == connection.id).values(values))

    async def remove(self, connection_id: str) -> None:
        """Delete a connection, leaving nothing of its credentials in the file."""
        async with self._database.erase() as db:
            await db.execute(delete(connections).where(connections.c.id == connection_id))


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
