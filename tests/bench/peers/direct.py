"""The connector itself, called without anything between."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from grpc import aio

from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.connector.v1.connector_service_pb2_grpc import ConnectorServiceStub
from tests.bench.peers.program import free_port, program
from tests.support.gateway_process import PLUGINS

CONNECTION = "bench"
Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where something serves, and what every call to it must carry."""

    port: int
    metadata: Metadata = ()
    process_id: int = 0
    """Of the connector, where its processor time is measured."""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


@asynccontextmanager
async def direct(connector: Path = PLUGINS / "lab_connector.py") -> AsyncIterator[Endpoint]:
    """Run the laboratory, or another connector, at an address, with a connection opened in it."""
    with TemporaryDirectory(prefix="peft-bench-") as name:
        folder = Path(name)
        token_file = folder / "token"
        token_file.touch(0o600)
        token_file.write_text(secrets.token_hex(32))
        port = free_port()
        target = [str(connector), "--listen", f"127.0.0.1:{port}", "--token-file", str(token_file)]
        async with program([sys.executable, "-m", "connector_sdk", "serve", *target], port, folder) as process_id:
            metadata = (("authorization", f"Bearer {_gateway_token(token_file)}"),)
            endpoint = Endpoint(port, metadata, process_id)
            async with aio.insecure_channel(endpoint.address) as channel:
                request = pb.ConnectRequest(connection_id=CONNECTION, credentials={"api_key": "bench-key"})
                await ConnectorServiceStub(channel).Connect(request, metadata=endpoint.metadata, timeout=30)
            yield endpoint


def _gateway_token(token_file: Path) -> str:
    """Derive what a gateway proves itself with, as docs/protocol.md says."""
    return hmac.new(token_file.read_bytes().strip(), b"peftstudio gateway", hashlib.sha256).hexdigest()
