"""A connector that eats memory, in a control group of its own."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import grpc
import pytest

from gateway.plugins.fences import find_fences
from peftstudio.gateway.v1 import connections_service_pb2, connectors_service_pb2
from peftstudio.gateway.v1.connectors_service_pb2 import CONNECTOR_STATE_READY
from tests.process.gateway.conftest import eventually, laboratory
from tests.support.gateway_process import Stubs, gateway_process

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(find_fences("test").parent is None, reason="no control group with memory is delegated here"),
]

PROGRAM = """
from tests.support.plugins.lab_connector import LabConnector


class EaterConnector(LabConnector):
    name = "eater"

    async def verify_connection(self) -> bool:
        self.eaten = [b"x" * 2**20 for _ in range(1000)]
        return True
"""
MANIFEST = """
id = "eater"
command = ["{python}", "-m", "connector_sdk", "serve", "{dir}/eater.py"]

[limits]
memory_hard_bytes = 209715200
"""


async def known(stubs: Stubs, connector_id: str) -> connectors_service_pb2.Connector:
    request = connectors_service_pb2.GetConnectorRequest(connector_id=connector_id)
    return (await stubs.connectors.GetConnector(request, timeout=30)).connector


async def test_an_eater_of_memory_is_killed_at_its_limit_and_harms_nobody(tmp_path: Path) -> None:
    folder = tmp_path / "plugins" / "eater"
    folder.mkdir(parents=True)
    (folder / "eater.py").write_text(PROGRAM)
    (folder / "connector.toml").write_text(MANIFEST)
    async with gateway_process(tmp_path / "data", "--plugins", str(folder.parent)) as gateway:
        async with laboratory(gateway) as stubs:
            request = connections_service_pb2.ConnectRequest(connector_id="eater", credentials={"api_key": "canary-77"})
            await stubs.connections.Connect(request, timeout=30)
            neighbour = await known(stubs, "lab")
            eat = connections_service_pb2.VerifyConnectionRequest(connection_id="eater")
            with suppress(grpc.aio.AioRpcError):
                await stubs.connections.VerifyConnection(eat, timeout=20)

            async def is_back() -> bool:
                now = await known(stubs, "eater")
                return now.state == CONNECTOR_STATE_READY and now.generation > 1

            await eventually(is_back)
            asked = connectors_service_pb2.GetDiagnosticsRequest(connector_id="eater")
            death = (await stubs.connectors.GetDiagnostics(asked, timeout=30)).deaths[-1]
            assert (death.exit_class, death.signal) == ("oom", "SIGKILL")
            assert "which may have 200 MiB" in json.loads(death.record)["out_of_memory"]
            assert (await known(stubs, "lab")).pid == neighbour.pid
            assert groups(gateway.data_dir) != []
        assert await gateway.stop() == 0
        assert groups(gateway.data_dir) == []


def groups(data_dir: Path) -> list[Path]:
    parent = find_fences("").parent
    assert parent is not None
    return list(parent.glob("peft-*-eater-*"))
