"""Bring a ledger to the present schema, all of it or nothing."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from gateway.errors import WrongState


def revisions() -> list[str]:
    """Return the names of all revisions, oldest first."""
    return [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()][::-1]


def current_revision(connection: Connection) -> str | None:
    """Return the revision of a ledger; None = it has no tables yet."""
    return MigrationContext.configure(connection).get_current_revision()


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


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Run the migrations up to a revision, in the transaction that the connection is in."""
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
