"""What differs between the databases that a ledger can be in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

from sqlalchemy import Table

from gateway.errors import GatewayError
from gateway.store.engine import AsyncConnection, AsyncEngine

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

Upsert: TypeAlias = "sqlite.Insert | postgresql.Insert"
"""An insert that can say what to do with a row that is there already."""


class Dialect(Protocol):
    """One kind of database: how it is opened and held, and what its errors mean."""

    where: str
    """What people call it; without a password."""
    reading: AsyncEngine
    writing: AsyncEngine
    """Where it can be reached by several gateways, its one connection holds the ledger."""
    migrating: AsyncEngine
    is_shared: bool
    """Whether another gateway could come to the same database by another data folder."""

    async def begin_migration(self, connection: AsyncConnection) -> None:
        """Make all that follows on the connection one transaction, changes of tables too."""
        ...

    async def claim(self) -> None:
        """Note in the migrated ledger who has it, so that somebody else's interlude is noticed."""
        ...

    async def before_erasing(self, connection: AsyncConnection) -> None:
        """See to it that what the transaction replaces or deletes is overwritten."""
        ...

    async def after_erasing(self) -> None:
        """Take what a committed transaction replaced off the disk."""
        ...

    def upsert(self, table: Table) -> Upsert:
        """Begin an insert that can replace."""
        ...

    def known(self, error: Exception) -> GatewayError | None:
        """Say what an error means to a client; None = it is a bug, or for the caller to judge."""
        ...


def first_line(error: BaseException) -> str:
    """Return what an error says, without the statement and its values."""
    text = str(getattr(error, "orig", None) or error)
    return text.splitlines()[0] if text else type(error).__name__
