"""Test a connector over the wire: a real server on a temporary socket, and a client that is connected to it."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import grpc

from connector_sdk._client_tokens import token_interceptors
from connector_sdk._connections import Factory
from connector_sdk._listener import SocketListener
from connector_sdk._log_stream import HEARTBEAT_SECONDS
from connector_sdk._options import CHANNEL_OPTIONS
from connector_sdk._redact import Secrets
from connector_sdk._server import ConnectorServer, Setting
from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.connector.v1.connector_service_pb2_grpc import ConnectorServiceStub

if TYPE_CHECKING:
    from peftstudio.connector.v1.connector_service_pb2_grpc import ConnectorServiceAsyncStub

CONNECT_SECONDS = 10.0
STOP_GRACE_SECONDS = 0.2


class ConnectorHarness:
    """Serve a connector in this process, for `async with`.

    `stub` calls it with the right token; `channel` is bare, for calls without one.
    """

    stub: ConnectorServiceAsyncStub
    channel: grpc.aio.Channel

    def __init__(
        self, factory: Factory, *, work_dir: Path | None = None, heartbeat_seconds: float = HEARTBEAT_SECONDS
    ) -> None:
        """Serve what `factory` makes (a class or a function); `work_dir` defaults to a temporary folder."""
        self.gateway_token = secrets.token_urlsafe(32)
        self.connector_token = secrets.token_urlsafe(32)
        self.shutdowns: list[float] = []
        """The graces of the Shutdown calls that came."""
        self._factory = factory
        self._work_dir = work_dir
        self._heartbeat_seconds = heartbeat_seconds
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start the server and open the channels."""
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="peft-")))
        setting = Setting(
            listener=SocketListener(folder / "s"),
            gateway_token=self.gateway_token,
            connector_token=self.connector_token,
            work_dir=self._work_dir or folder,
            heartbeat_seconds=self._heartbeat_seconds,
        )
        server = ConnectorServer(self._factory, setting, Secrets(), self.shutdowns.append)
        await server.start()
        self._stack.push_async_callback(server.stop, STOP_GRACE_SECONDS)
        address = f"unix:{folder / 's'}"
        self.channel = await self._stack.enter_async_context(
            grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
        )
        tokens = token_interceptors(self.gateway_token)
        known = grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS, interceptors=tokens)
        self.stub = ConnectorServiceStub(await self._stack.enter_async_context(known))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the channels and stop the server."""
        await self._stack.aclose()

    async def connect(self, credentials: Mapping[str, str] | None = None, connection_id: str = "c1") -> str:
        """Open a connection and return its id."""
        request = pb.ConnectRequest(connection_id=connection_id, credentials=dict(credentials or {}))
        await self.stub.Connect(request, timeout=CONNECT_SECONDS)
        return connection_id
