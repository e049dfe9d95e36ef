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

BLOCKER = '''"""A connector that does what connectors must not: it blocks its event loop."""

import time

from tests.support.plugins.lab_connector import LabConnector


class Blocker(LabConnector):
    """Blocks for half a second whenever it is asked for its machines."""

    name = "blocker"

    async def verify_connection(self) -> bool:
        time.sleep(0.5)
        return True
'''


@asynccontextmanager
async def laboratories(names: Sequence[str]) -> AsyncIterator[tuple[GatewayProcess, Stubs]]:
    """Run a gateway that finds these laboratories, and one connector that blocks."""
    with TemporaryDirectory(prefix="peft-bench-") as name:
        plugins = Path(name) / "plugins"
        plugins.mkdir()
        (plugins / "blocker_connector.py").write_text(BLOCKER)
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
