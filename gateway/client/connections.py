"""What can be done with connections."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping

from gateway.client.pages import PAGE_SIZE, walk
from gateway.client.rpc import SLOW_UNARY_SECONDS, Rpc
from peftstudio.gateway.v1 import connections_service_pb2 as pb


class Connections:
    """Accounts on platforms. Wherever a connection is meant, its id and its name do equally."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    async def connect(self, connector_id: str, credentials: Mapping[str, str], *, name: str = "") -> pb.Connection:
        """Have credentials checked by the platform and kept, encrypted, by the gateway."""
        request = pb.ConnectRequest(connector_id=connector_id, credentials=dict(credentials), name=name)
        stub = self._rpc.stubs.connections
        return (await self._rpc.unary(stub.Connect, request, SLOW_UNARY_SECONDS)).connection

    def list(self, connector_id: str = "") -> AsyncGenerator[pb.Connection, None]:
        """Yield connections, oldest first."""

        async def page(token: str) -> pb.ListConnectionsResponse:
            request = pb.ListConnectionsRequest(connector_id=connector_id, page_size=PAGE_SIZE, page_token=token)
            return await self._rpc.unary(self._rpc.stubs.connections.ListConnections, request)

        return walk(page, lambda answer: answer.connections)

    async def get(self, connection: str) -> pb.Connection:
        """Get one connection."""
        request = pb.GetConnectionRequest(connection_id=connection)
        return (await self._rpc.unary(self._rpc.stubs.connections.GetConnection, request)).connection

    async def verify(self, connection: str) -> pb.Connection:
        """Ask the platform whether the credentials still hold."""
        request = pb.VerifyConnectionRequest(connection_id=connection)
        stub = self._rpc.stubs.connections
        return (await self._rpc.unary(stub.VerifyConnection, request, SLOW_UNARY_SECONDS)).connection

    async def rotate(self, connection: str, credentials: Mapping[str, str]) -> pb.Connection:
        """Replace all credentials; jobs go on."""
        request = pb.RotateCredentialsRequest(connection_id=connection, credentials=dict(credentials))
        stub = self._rpc.stubs.connections
        return (await self._rpc.unary(stub.RotateCredentials, request, SLOW_UNARY_SECONDS)).connection

    async def disconnect(self, connection: str, *, force: bool = False) -> None:
        """Delete a connection and its credentials for good; `force` also while it has open jobs or deployments."""
        request = pb.DisconnectRequest(connection_id=connection, force=force)
        await self._rpc.unary(self._rpc.stubs.connections.Disconnect, request, SLOW_UNARY_SECONDS)
