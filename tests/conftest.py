"""Settings of all tests."""

from __future__ import annotations

from hypothesis import settings

from tests.support.databases import (
    database,
    ledger_kind,
    make_dialect,
    migrated,
    postgresql,
    postgresql_template,
    sqlite_template,
)

# A busy machine is slow now and then; what is tested is what comes out, not when.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

__all__ = [
    "database",
    "ledger_kind",
    "make_dialect",
    "migrated",
    "postgresql",
    "postgresql_template",
    "sqlite_template",
]
