"""The gRPC server of one connector: made, started and stopped."""

from __future__ import annotations

import asyncio
import logging
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import grpc
from grpc_health.v1 import health_pb2_grpc

from connector_sdk._boundary import Boundary
from connector_sdk._connections import Connections, Factory
from connector_sdk._describe import describe
from connector_sdk._gateway_token import GatewayToken
from connector_sdk._health import Health, Hold
from connector_sdk._listener import Listener
from connector_sdk._log_stream import HEARTBEAT_SECONDS, LogStreams
from connector_sdk._options import SERVER_OPTIONS
from connector_sdk._redact import Secrets
from connector_sdk._servicer import ConnectorServicer, Shutdown
from connector_sdk._start import StartError
from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.connector.v1.connector_service_pb2_grpc import add_ConnectorServiceServicer_to_server

logger = logging.getLogger(__name__)

CLEANUP_SECONDS = 2.0  # for handlers to unwind and connections to close, beside the grace


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Where and how to serve."""

    listener: Listener
    gateway_token: str
    connector_token: str
    work_dir: Path
    heartbeat_seconds: float = HEARTBEAT_SECONDS


class ConnectorServer:
    """Serve the connectors that a factory makes."""

    def __init__(
        self, factory: Factory, setting: Setting, secrets: Secrets, shut_down: Shutdown, hold: Hold = nullcontext
    ) -> None:
        """Make the server; `shut_down(grace_seconds)` is called by the Shutdown RPC.

        It is in `hold()` as long as a health Watch of the gateway's is open.
        """
        description = _description(factory)
        self._setting = setting
        token = GatewayToken(setting.gateway_token)
        self._boundary = Boundary(token, setting.connector_token, secrets)
        self._connections = Connections(factory, secrets, setting.work_dir)
        self._server = grpc.aio.server(handlers=[self._boundary], options=SERVER_OPTIONS)
        self._health = Health(token, hold)
        self._logs = LogStreams(setting.heartbeat_seconds)
        servicer = ConnectorServicer(description, self._connections, self._logs, setting.work_dir, shut_down)
        add_ConnectorServiceServicer_to_server(servicer, cast("grpc.aio.Server", self._boundary))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)

    async def start(self) -> None:
        """Listen; raises `StartError` where the place cannot be had."""
        with self._setting.listener.open(self._server):
            await self._server.start()

    async def stop(self, grace_seconds: float) -> None:
        """Refuse new calls, let those under way finish within the grace, and close every connection."""
        self._health.drain()
        self._logs.cut()
        await self._server.stop(grace_seconds)
        with suppress(TimeoutError):
            async with asyncio.timeout(CLEANUP_SECONDS):
                await self._boundary.wait_until_idle()
                await self._connections.close_all()


def _description(factory: Factory) -> pb.DescribeResponse:
    """Describe an object that is never connected, so that what is wrong with the class shows before it is needed."""
    try:
        return describe(factory())
    except Exception as error:
        logger.exception("connector cannot be described")
        name = getattr(factory, "__name__", "The connector")
        raise StartError(
            f"{name} cannot be made and described ({type(error).__name__}: {error}): correct it."
        ) from error
