"""Settings of all tests."""

from __future__ import annotations

from hypothesis import settings

from tests.support.databases import database, make_dialect, postgresql

# A busy machine is slow now and then; what is tested is what comes out, not when.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

__all__ = ["database", "make_dialect", "postgresql"]
