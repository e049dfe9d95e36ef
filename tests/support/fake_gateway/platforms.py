"""The fake gateway's connectors, connections and catalog."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
from grpc import aio

from peftstudio.gateway.v1 import catalog_service_pb2 as catalog
from peftstudio.gateway.v1 import connections_service_pb2 as connections
from peftstudio.gateway.v1 import connectors_service_pb2 as connectors
from peftstudio.gateway.v1.catalog_service_pb2_grpc import CatalogServiceServicer
from peftstudio.gateway.v1.connections_service_pb2_grpc import ConnectionsServiceServicer
from peftstudio.gateway.v1.connectors_service_pb2_grpc import ConnectorsServiceServicer
from peftstudio.job.v1.resource_pb2 import Price
from tests.support.fake_gateway.refusal import not_found, refuse
from tests.support.fake_gateway.state import FakeState

MICROS_PER_HOUR = 440_000


class FakeConnectors(ConnectorsServiceServicer):
    """Connectors without processes."""

    def __init__(self, state: FakeState) -> None:
        self._state = state

    async def _connector(self, connector_id: str, context: object) -> connectors.Connector:
        if connector_id not in self._state.connectors:
            await not_found(context, "connector", connector_id)

        return self._state.connectors[connector_id]

    async def ListConnectors(
        self,
        request: connectors.ListConnectorsRequest,
        context: aio.ServicerContext[connectors.ListConnectorsRequest, connectors.ListConnectorsResponse],
    ) -> connectors.ListConnectorsResponse:
        return connectors.ListConnectorsResponse(connectors=self._state.connectors.values())

    async def GetConnector(
        self,
        request: connectors.GetConnectorRequest,
        context: aio.ServicerContext[connectors.GetConnectorRequest, connectors.GetConnectorResponse],
    ) -> connectors.GetConnectorResponse:
        return connectors.GetConnectorResponse(connector=await self._connector(request.connector_id, context))

    async def WatchConnectors(
        self,
        request: connectors.WatchConnectorsRequest,
        context: aio.ServicerContext[connectors.WatchConnectorsRequest, connectors.WatchConnectorsResponse],
    ) -> AsyncIterator[connectors.WatchConnectorsResponse]:
        for connector in self._state.connectors.values():
            yield connectors.WatchConnectorsResponse(connector=connector)

        yield connectors.WatchConnectorsResponse()

    async def EnableConnector(
        self,
        request: connectors.EnableConnectorRequest,
        context: aio.ServicerContext[connectors.EnableConnectorRequest, connectors.EnableConnectorResponse],
    ) -> connectors.EnableConnectorResponse:
        connector = await self._connector(request.connector_id, context)
        connector.state = connectors.CONNECTOR_STATE_DISCOVERED
        return connectors.EnableConnectorResponse(connector=connector)

    async def DisableConnector(
        self,
        request: connectors.DisableConnectorRequest,
        context: aio.ServicerContext[connectors.DisableConnectorRequest, connectors.DisableConnectorResponse],
    ) -> connectors.DisableConnectorResponse:
        connector = await self._connector(request.connector_id, context)
        connector.state = connectors.CONNECTOR_STATE_DISABLED
        return connectors.DisableConnectorResponse(connector=connector)

    async def RestartConnector(
        self,
        request: connectors.RestartConnectorRequest,
        context: aio.ServicerContext[connectors.RestartConnectorRequest, connectors.RestartConnectorResponse],
    ) -> connectors.RestartConnectorResponse:
        connector = await self._connector(request.connector_id, context)
        connector.generation += 1
        return connectors.RestartConnectorResponse(connector=connector)

    async def GetDiagnostics(
        self,
        request: connectors.GetDiagnosticsRequest,
        context: aio.ServicerContext[connectors.GetDiagnosticsRequest, connectors.GetDiagnosticsResponse],
    ) -> connectors.GetDiagnosticsResponse:
        death = connectors.Death(generation=1, exit_class="signal", signal="SIGSEGV", decision="restart after 1 s")
        death.last_lines.append("a bad pointer")
        return connectors.GetDiagnosticsResponse(
            connector=await self._connector(request.connector_id, context), deaths=[death], last_lines=["ready"]
        )


class FakeConnections(ConnectionsServiceServicer):
    """Connections that accept every credential but `wrong`."""

    def __init__(self, state: FakeState) -> None:
        self._state = state

    async def _connection(self, name: str, context: object) -> connections.Connection:
        if name not in self._state.connections:
            await not_found(context, "connection", name)

        return self._state.connections[name]

    async def Connect(
        self,
        request: connections.ConnectRequest,
        context: aio.ServicerContext[connections.ConnectRequest, connections.ConnectResponse],
    ) -> connections.ConnectResponse:
        if "wrong" in request.credentials.values():
            code = grpc.StatusCode.UNAUTHENTICATED
            await refuse(context, code, "CREDENTIALS_REJECTED", "the platform does not accept the key")

        name = request.name or request.connector_id
        connection = connections.Connection(
            id=f"c-{name}",
            connector_id=request.connector_id,
            name=name,
            account="someone",
            state=connections.CONNECTION_STATE_ACTIVE,
        )
        self._state.connections[name] = connection
        self._state.credentials[name] = dict(request.credentials)
        return connections.ConnectResponse(connection=connection)

    async def GetConnection(
        self,
        request: connections.GetConnectionRequest,
        context: aio.ServicerContext[connections.GetConnectionRequest, connections.GetConnectionResponse],
    ) -> connections.GetConnectionResponse:
        return connections.GetConnectionResponse(connection=await self._connection(request.connection_id, context))

    async def ListConnections(
        self,
        request: connections.ListConnectionsRequest,
        context: aio.ServicerContext[connections.ListConnectionsRequest, connections.ListConnectionsResponse],
    ) -> connections.ListConnectionsResponse:
        return connections.ListConnectionsResponse(connections=self._state.connections.values())

    async def VerifyConnection(
        self,
        request: connections.VerifyConnectionRequest,
        context: aio.ServicerContext[connections.VerifyConnectionRequest, connections.VerifyConnectionResponse],
    ) -> connections.VerifyConnectionResponse:
        return connections.VerifyConnectionResponse(connection=await self._connection(request.connection_id, context))

    async def RotateCredentials(
        self,
        request: connections.RotateCredentialsRequest,
        context: aio.ServicerContext[connections.RotateCredentialsRequest, connections.RotateCredentialsResponse],
    ) -> connections.RotateCredentialsResponse:
        connection = await self._connection(request.connection_id, context)
        self._state.credentials[connection.name] = dict(request.credentials)
        return connections.RotateCredentialsResponse(connection=connection)

    async def Disconnect(
        self,
        request: connections.DisconnectRequest,
        context: aio.ServicerContext[connections.DisconnectRequest, connections.DisconnectResponse],
    ) -> connections.DisconnectResponse:
        await self._connection(request.connection_id, context)
        if any(job.connection_id == request.connection_id for job in self._state.jobs.values()) and not request.force:
            code = grpc.StatusCode.FAILED_PRECONDITION
            await refuse(context, code, "WRONG_STATE", "the connection has jobs that have not ended; use force")

        del self._state.connections[request.connection_id]
        return connections.DisconnectResponse()


class FakeCatalog(CatalogServiceServicer):
    """A catalog of what a test put there."""

    def __init__(self, state: FakeState) -> None:
        self._state = state

    async def ListResources(
        self,
        request: catalog.ListResourcesRequest,
        context: aio.ServicerContext[catalog.ListResourcesRequest, catalog.ListResourcesResponse],
    ) -> catalog.ListResourcesResponse:
        if request.connection_id not in self._state.connections:
            await not_found(context, "connection", request.connection_id)

        return catalog.ListResourcesResponse(resources=self._state.resources)

    async def GetPricing(
        self,
        request: catalog.GetPricingRequest,
        context: aio.ServicerContext[catalog.GetPricingRequest, catalog.GetPricingResponse],
    ) -> catalog.GetPricingResponse:
        return catalog.GetPricingResponse(price=_price(request.resource_id))

    async def ComparePrices(
        self,
        request: catalog.ComparePricesRequest,
        context: aio.ServicerContext[catalog.ComparePricesRequest, catalog.ComparePricesResponse],
    ) -> catalog.ComparePricesResponse:
        least = request.requirements.min_vram_gb
        offers = [offer for offer in self._state.offers if offer.resource.vram_gb >= least]
        return catalog.ComparePricesResponse(offers=offers, errors=self._state.offer_errors)

    async def EstimateCost(
        self,
        request: catalog.EstimateCostRequest,
        context: aio.ServicerContext[catalog.EstimateCostRequest, catalog.EstimateCostResponse],
    ) -> catalog.EstimateCostResponse:
        amount = MICROS_PER_HOUR * request.duration.seconds // 3600
        return catalog.EstimateCostResponse(amount_micros=amount, price=_price(request.resource_id))

    async def SearchModels(
        self,
        request: catalog.SearchModelsRequest,
        context: aio.ServicerContext[catalog.SearchModelsRequest, catalog.SearchModelsResponse],
    ) -> catalog.SearchModelsResponse:
        return catalog.SearchModelsResponse(models=[model for model in self._state.models if request.query in model.id])

    async def GetModelMetadata(
        self,
        request: catalog.GetModelMetadataRequest,
        context: aio.ServicerContext[catalog.GetModelMetadataRequest, catalog.GetModelMetadataResponse],
    ) -> catalog.GetModelMetadataResponse:
        for model in self._state.models:
            if model.id == request.model_id:
                return catalog.GetModelMetadataResponse(model=model)

        await not_found(context, "model", request.model_id)


def _price(resource_id: str) -> Price:
    return Price(resource_id=resource_id, amount_micros=MICROS_PER_HOUR, currency="USD")
