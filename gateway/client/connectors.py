"""What can be done with connectors."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta

from gateway.client.job_streams import IDLE_SECONDS
from gateway.client.pages import PAGE_SIZE, walk
from gateway.client.patience import DEFAULT_GIVE_UP_AFTER, Patience
from gateway.client.resume import resuming
from gateway.client.rpc import SLOW_UNARY_SECONDS, Rpc
from peftstudio.gateway.v1 import connectors_service_pb2 as pb


class Connectors:
    """The connectors that the gateway knows, and their processes."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    def list(self) -> AsyncGenerator[pb.Connector, None]:
        """Yield connectors, by id."""

        async def page(token: str) -> pb.ListConnectorsResponse:
            request = pb.ListConnectorsRequest(page_size=PAGE_SIZE, page_token=token)
            return await self._rpc.unary(self._rpc.stubs.connectors.ListConnectors, request)

        return walk(page, lambda answer: answer.connectors)

    async def get(self, connector_id: str) -> pb.Connector:
        """Get one connector with its schemas; starts it where it has never run."""
        request = pb.GetConnectorRequest(connector_id=connector_id)
        stub = self._rpc.stubs.connectors
        return (await self._rpc.unary(stub.GetConnector, request, SLOW_UNARY_SECONDS)).connector

    async def enable(self, connector_id: str) -> pb.Connector:
        """Let a disabled connector run again."""
        request = pb.EnableConnectorRequest(connector_id=connector_id)
        stub = self._rpc.stubs.connectors
        return (await self._rpc.unary(stub.EnableConnector, request, SLOW_UNARY_SECONDS)).connector

    async def disable(self, connector_id: str) -> pb.Connector:
        """Stop a connector and keep it stopped; jobs go on where they run."""
        request = pb.DisableConnectorRequest(connector_id=connector_id)
        stub = self._rpc.stubs.connectors
        return (await self._rpc.unary(stub.DisableConnector, request, SLOW_UNARY_SECONDS)).connector

    async def restart(self, connector_id: str) -> pb.Connector:
        """Stop a connector's process in order and start another."""
        request = pb.RestartConnectorRequest(connector_id=connector_id)
        stub = self._rpc.stubs.connectors
        return (await self._rpc.unary(stub.RestartConnector, request, SLOW_UNARY_SECONDS)).connector

    async def diagnose(self, connector_id: str) -> pb.GetDiagnosticsResponse:
        """Get a connector's last deaths and the last lines that it printed."""
        request = pb.GetDiagnosticsRequest(connector_id=connector_id)
        return await self._rpc.unary(self._rpc.stubs.connectors.GetDiagnostics, request)

    async def watch(
        self, connector_id: str = "", *, give_up_after: timedelta = DEFAULT_GIVE_UP_AFTER
    ) -> AsyncGenerator[pb.Connector, None]:
        """Yield every connector now and again whenever one changes, without end; goes on by itself after a cut."""
        request = pb.WatchConnectorsRequest(connector_id=connector_id)
        stream = resuming(
            self._rpc,
            Patience(self._rpc.now, give_up_after=give_up_after),
            lambda: self._rpc.stream(self._rpc.stubs.connectors.WatchConnectors, request, idle=IDLE_SECONDS),
            lambda _: False,
        )
        async with aclosing(stream) as responses:
            async for response in responses:
                if response.HasField("connector"):
                    yield response.connector
