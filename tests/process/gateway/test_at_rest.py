"""What a gateway has in memory that nobody calls."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.gateway_process import GatewayProcess

pytestmark = pytest.mark.process

NOT_NEEDED = {
    "sqlalchemy.orm": "the stores use the Core alone",
    "sqlalchemy.ext.asyncio": "it imports the ORM",
    "alembic": "only a ledger of an older version is migrated",
    "asyncpg": "the ledger is in a file",
    "cryptography": "nothing is sealed before there are credentials",
    "re2": "nobody looks for anything in a log",
    "rich.console": "the log has no colours of its kind",
    "pygments": "it comes with rich",
    "aiohttp": "it is for connectors",
    "yaml": "it is for the command line's job files",
    "gateway.client": "it is the other side",
    "gateway.backup": "it is a command of its own",
    "gateway.cli.job_list": "commands are imported by who names them",
    "gateway.cli.printing": "the gateway prints nothing but its log",
    "connector_sdk": "connectors have processes of their own",
}
"""Modules that cost memory or a longer start, and why an idle gateway does without."""


async def test_a_gateway_that_nobody_calls_has_imported_only_what_it_needs(tmp_path: Path) -> None:
    gateway = GatewayProcess(tmp_path / "data", prefix=(sys.executable, "-X", "importtime"))
    await gateway.start()
    assert await gateway.stop() == 0
    log = gateway.log_path.read_text().splitlines()
    imported = {line.rpartition("|")[2].strip() for line in log if line.startswith("import time:")}
    assert {"grpc.aio", "sqlalchemy", "gateway.app"} <= imported
    assert {name: why for name, why in NOT_NEEDED.items() if name in imported} == {}
