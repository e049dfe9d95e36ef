"""Connectors that were switched off, as rows."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from sqlalchemy import delete, insert, select

from gateway.store.database import Database
from gateway.store.schema import disabled_connectors


class DisabledConnectors:
    """Keep the ids of the connectors that must not run."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> frozenset[str]:
        """Read the ids."""
        async with self._database.read() as db:
            return frozenset((await db.execute(select(disabled_connectors.c.connector_id))).scalars())

    async def save(self, connector_ids: AbstractSet[str]) -> None:
        """Replace the ids."""
        rows = [{"connector_id": connector_id} for connector_id in sorted(connector_ids)]
        async with self._database.write() as db:
            await db.execute(delete(disabled_connectors))
            if rows:
                await db.execute(insert(disabled_connectors), rows)
