"""A gateway to measure, with as many laboratories as are wanted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from peftstudio.gateway.v1 import connections_service_pb2
from tests.support.gateway_process import GatewayProcess, Stubs, gateway_process

LABORATORY = '''"""One of several laboratories."""

from tests.support.plugins.lab_connector import LabConnector


class Laboratory(LabConnector):
    """The same under another name."""

    name = "{name}"
'''

HARM = '''"""A connector that does what connectors must not."""

import os
import time

from tests.support.plugins.lab_connector import LabConnector


class Harmful(LabConnector):
    """Does harm whenever its connection is verified."""

    name = "{name}"

    async def verify_connection(self) -> bool:
        {harm}
        return True
'''
HARMS = {
    "blocked": "time.sleep(0.5)",
    "crashing": "os._exit(1)",
    "memory-eating": "eaten = [os.urandom(1) * 2**24 for _ in range(1000)]",
}
"""What harmful connectors do, by their ids."""
MANIFEST = """id = "{name}"
command = ["{{python}}", "-m", "connector_sdk", "serve", "{{dir}}/connector.py"]

[limits]
{limits}
"""
STARTS_AGAIN = """backoff_cap = 1
breaker_deaths = 100
breaker_window = 10
memory_hard_bytes = 2147483648"""
"""What does harm starts again and again."""
SLEEPS_SOON = "idle_stop = 10"
"""The least that is allowed."""


@asynccontextmanager
async def laboratories(
    names: Sequence[str], sleepers: Sequence[str] = ()
) -> AsyncIterator[tuple[GatewayProcess, Stubs]]:
    """Run a gateway that finds these laboratories, some that soon stop when idle, and connectors that do harm."""
    with TemporaryDirectory(prefix="peft-bench-") as name:
        plugins = Path(name) / "plugins"
        plugins.mkdir()
        for harmful, harm in HARMS.items():
            _write(plugins / harmful, HARM.format(name=harmful, harm=harm), STARTS_AGAIN)
        for sleeper in sleepers:
            _write(plugins / sleeper, LABORATORY.format(name=sleeper), SLEEPS_SOON)
        for laboratory in names:
            (plugins / f"{laboratory}_connector.py").write_text(LABORATORY.format(name=laboratory))
        async with (
            gateway_process(Path(name) / "data", "--plugins", str(plugins)) as gateway,
            gateway.connected() as stubs,
        ):
            yield gateway, stubs


async def connect(stubs: Stubs, connector_id: str) -> None:
    """Open a connection of the connector's name."""
    request = connections_service_pb2.ConnectRequest(connector_id=connector_id, credentials={"api_key": "bench-key"})
    await stubs.connections.Connect(request, timeout=60)


async def verify(stubs: Stubs, connection_id: str) -> None:
    """Make a call that reaches the connector and costs it nothing."""
    request = connections_service_pb2.VerifyConnectionRequest(connection_id=connection_id)
    await stubs.connections.VerifyConnection(request, timeout=60)


def _write(folder: Path, source: str, limits: str) -> None:
    folder.mkdir()
    (folder / "connector.py").write_text(source)
    (folder / "connector.toml").write_text(MANIFEST.format(name=folder.name, limits=limits))
