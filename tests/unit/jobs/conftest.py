"""A ledger on a real database, and a platform that fails on demand."""

from __future__ import annotations

import pytest

from gateway.jobs.ledger import Ledger
from gateway.store.database import Database
from gateway.store.jobs import JobStore
from tests.support.clocks import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def ledger(database: Database, clock: FakeClock) -> Ledger:
    loaded = Ledger(JobStore(database), clock)
    await loaded.load()
    return loaded
