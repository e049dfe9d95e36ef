"""Bring a ledger to the present schema, all of it or nothing.

Alembic takes as much memory as all of the gateway's own code: it is imported where an older ledger has to be migrated,
and not otherwise. A new ledger is made as it is now.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, String, Table, insert, inspect, select

from gateway.errors import StorageFull, WrongState
from gateway.store.schema import metadata

_FOLDER = Path(__file__).parent / "migrations"
_version = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))


def revisions() -> list[str]:
    """Return the names of all revisions, oldest first."""
    return sorted(path.name.partition("_")[0] for path in (_FOLDER / "versions").glob("[0-9]*.py"))


def current_revision(connection: Connection) -> str | None:
    """Return the revision of a ledger; None = it has no tables yet."""
    return connection.scalar(select(_version.c.version_num)) if inspect(connection).has_table(_version.name) else None


def check_known(revision: str | None, where: str) -> None:
    """Refuse what a later version made.

    Raises:
        WrongState: The revision is not one of this version.

    """
    if revision is not None and revision not in revisions():
        raise WrongState(
            f"{where} was written by a newer gateway (its schema is {revision!r}, this one knows {revisions()[-1]!r}); "
            "start that version or a later one"
        )


def create(connection: Connection) -> None:
    """Make the tables of a new ledger as they are now, in the transaction that the connection is in."""
    metadata.create_all(connection)
    _version.create(connection)
    connection.execute(insert(_version).values(version_num=revisions()[-1]))


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Run the migrations up to a revision, in the transaction that the connection is in."""
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, revision)
    except CommandError as error:
        raise StorageFull(f"the ledger cannot be brought to the present schema: {error}") from error
