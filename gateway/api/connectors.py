"""`ConnectorsService`: connectors and their processes."""

from __future__ import annotations

from collections.abc import AsyncIterator

from gateway.api import requests
from gateway.paging import PageRequest
from gateway.plugins.directory import Connectors
from gateway.plugins.model import ConnectorState, ConnectorStatus, Death
from gateway.wire.enums import EnumPair
from gateway.wire.struct import struct_from_json
from gateway.wire.time import time_to_proto
from peftstudio.gateway.v1 import connectors_service_pb2 as pb
from peftstudio.gateway.v1 import connectors_service_pb2_grpc as pb_grpc

_STATES = EnumPair(ConnectorState, pb.ConnectorState, "CONNECTOR_STATE_")


class ConnectorsServicer(pb_grpc.ConnectorsServiceServicer):
    """Answer calls about connectors."""

    def __init__(self, connectors: Connectors) -> None:
        self._connectors = connectors

    async def ListConnectors(self, request: pb.ListConnectorsRequest, context: object) -> pb.ListConnectorsResponse:
        page = PageRequest.parse(request.page_size, request.page_token)
        found, token = page.cut([(status.id, status) for status in self._connectors.list()])
        return pb.ListConnectorsResponse(connectors=map(status_to_proto, found), next_page_token=token)

    async def GetConnector(self, request: pb.GetConnectorRequest, context: object) -> pb.GetConnectorResponse:
        requests.require(connector_id=request.connector_id)
        status = self._connectors.status(request.connector_id)
        if status.state is ConnectorState.DISCOVERED:
            await self._connectors.describe(request.connector_id)
            status = self._connectors.status(request.connector_id)
        return pb.GetConnectorResponse(connector=status_to_proto(status))

    async def WatchConnectors(
        self, request: pb.WatchConnectorsRequest, context: object
    ) -> AsyncIterator[pb.WatchConnectorsResponse]:
        async for status in self._connectors.watch(request.connector_id or None):
            yield pb.WatchConnectorsResponse(connector=status_to_proto(status))

    async def EnableConnector(self, request: pb.EnableConnectorRequest, context: object) -> pb.EnableConnectorResponse:
        requests.require(connector_id=request.connector_id)
        status = await self._connectors.enable(request.connector_id)
        return pb.EnableConnectorResponse(connector=status_to_proto(status))

    async def DisableConnector(
        self, request: pb.DisableConnectorRequest, context: object
    ) -> pb.DisableConnectorResponse:
        requests.require(connector_id=request.connector_id)
        status = await self._connectors.disable(request.connector_id)
        return pb.DisableConnectorResponse(connector=status_to_proto(status))

    async def RestartConnector(
        self, request: pb.RestartConnectorRequest, context: object
    ) -> pb.RestartConnectorResponse:
        requests.require(connector_id=request.connector_id)
        status = await self._connectors.restart(request.connector_id)
        return pb.RestartConnectorResponse(connector=status_to_proto(status))

    async def GetDiagnostics(self, request: pb.GetDiagnosticsRequest, context: object) -> pb.GetDiagnosticsResponse:
        requests.require(connector_id=request.connector_id)
        return pb.GetDiagnosticsResponse(
            connector=status_to_proto(self._connectors.status(request.connector_id)),
            deaths=map(_death_to_proto, self._connectors.deaths(request.connector_id)),
            last_lines=self._connectors.last_lines(request.connector_id),
        )


def status_to_proto(status: ConnectorStatus) -> pb.Connector:
    """Convert a connector and its process."""
    connector = pb.Connector(
        id=status.id,
        display_name=status.display_name,
        origin=status.origin,
        state=_STATES.to_proto(status.state),
        state_since=time_to_proto(status.state_since),
        message=status.message,
        restarts=status.restarts,
        next_attempt_at=time_to_proto(status.next_attempt_at),
        generation=status.generation,
        pid=status.pid,
        memory_bytes=status.memory_bytes,
        cpu_seconds=status.cpu_seconds,
        digest=status.digest,
        reload=status.reload,
        last_cause=status.last_cause,
    )
    if (said := status.description) is not None:
        connector.display_name = said.display_name or status.display_name
        connector.description = said.description
        connector.version = said.version
        connector.features.extend(said.features)
        connector.capabilities.extend(sorted(said.capabilities))
        connector.algorithms.extend(said.algorithms)
        connector.credentials_schema.CopyFrom(struct_from_json(said.credentials_schema))
        connector.options_schema.CopyFrom(struct_from_json(said.options_schema))
        connector.documentation_url = said.documentation_url
        connector.requests_per_minute = said.requests_per_minute
        connector.concurrent_jobs = said.concurrent_jobs
    return connector


def _death_to_proto(death: Death) -> pb.Death:
    return pb.Death(
        time=time_to_proto(death.time),
        generation=death.generation,
        exit_class=death.exit_class,
        exit_code=death.exit_code,
        signal=death.signal,
        decision=death.decision,
        last_lines=death.last_lines,
        record=death.record,
    )
