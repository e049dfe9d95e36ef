"""`ConnectionsService`: accounts on platforms."""

from __future__ import annotations

from gateway.api import requests
from gateway.connections.model import Connection, ConnectionState
from gateway.connections.service import Connections
from gateway.paging import PageRequest
from gateway.wire.enums import EnumPair
from gateway.wire.time import time_to_proto
from peftstudio.gateway.v1 import connections_service_pb2 as pb
from peftstudio.gateway.v1 import connections_service_pb2_grpc as pb_grpc

_STATES = EnumPair(ConnectionState, pb.ConnectionState, "CONNECTION_STATE_")


class ConnectionsServicer(pb_grpc.ConnectionsServiceServicer):
    """Answer calls about connections."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def Connect(self, request: pb.ConnectRequest, context: object) -> pb.ConnectResponse:
        requests.require(connector_id=request.connector_id)
        made = await self._connections.connect(request.connector_id, dict(request.credentials), request.name)
        return pb.ConnectResponse(connection=connection_to_proto(made))

    async def GetConnection(self, request: pb.GetConnectionRequest, context: object) -> pb.GetConnectionResponse:
        requests.require(connection_id=request.connection_id)
        found = await self._connections.get(request.connection_id)
        return pb.GetConnectionResponse(connection=connection_to_proto(found))

    async def ListConnections(self, request: pb.ListConnectionsRequest, context: object) -> pb.ListConnectionsResponse:
        page = PageRequest.parse(request.page_size, request.page_token, request.connector_id)
        found, token = await self._connections.list(page, request.connector_id)
        return pb.ListConnectionsResponse(connections=map(connection_to_proto, found), next_page_token=token)

    async def VerifyConnection(
        self, request: pb.VerifyConnectionRequest, context: object
    ) -> pb.VerifyConnectionResponse:
        requests.require(connection_id=request.connection_id)
        checked = await self._connections.verify(request.connection_id)
        return pb.VerifyConnectionResponse(connection=connection_to_proto(checked))

    async def RotateCredentials(
        self, request: pb.RotateCredentialsRequest, context: object
    ) -> pb.RotateCredentialsResponse:
        requests.require(connection_id=request.connection_id)
        rotated = await self._connections.rotate(request.connection_id, dict(request.credentials))
        return pb.RotateCredentialsResponse(connection=connection_to_proto(rotated))

    async def Disconnect(self, request: pb.DisconnectRequest, context: object) -> pb.DisconnectResponse:
        requests.require(connection_id=request.connection_id)
        await self._connections.disconnect(request.connection_id, request.force)
        return pb.DisconnectResponse()


def connection_to_proto(connection: Connection) -> pb.Connection:
    """Convert a connection."""
    return pb.Connection(
        id=connection.id,
        connector_id=connection.connector_id,
        name=connection.name,
        account=connection.account,
        state=_STATES.to_proto(connection.state),
        message=connection.message,
        created_at=time_to_proto(connection.created_at),
        verified_at=time_to_proto(connection.verified_at),
    )
