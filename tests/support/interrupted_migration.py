"""Migrate a ledger in a process that is killed before its statement of a number: `KIND PLACE NUMBER`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from itertools import count
from pathlib import Path

from sqlalchemy import event

from gateway.store.database import Database
from gateway.store.dialect import Dialect
from gateway.store.ledger_url import LedgerUrl
from gateway.store.postgresql import PostgreSQL
from gateway.store.sqlite import SQLite


def main() -> None:
    kind, place, number = sys.argv[1:]
    dialect: Dialect = SQLite(Path(place)) if kind == "SQLite" else PostgreSQL(LedgerUrl.parse(place))
    numbers = count(1)

    def die(*_: object) -> None:
        if next(numbers) == int(number):
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(dialect.migrating.sync_engine, "before_cursor_execute", die)
    asyncio.run(migrate(dialect))


async def migrate(dialect: Dialect) -> None:
    await (await Database.open(dialect)).close()


if __name__ == "__main__":
    main()
