"""What can be asked about machines, prices and models."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration

from gateway.client.pages import PAGE_SIZE, walk
from gateway.client.rpc import SLOW_UNARY_SECONDS, Rpc
from peftstudio.gateway.v1 import catalog_service_pb2 as pb
from peftstudio.job.v1.model_pb2 import Model
from peftstudio.job.v1.resource_pb2 import Price, Resource


class Catalog:
    """What platforms offer."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    def resources(self, connection: str) -> AsyncGenerator[Resource, None]:
        """Yield the machines of a connection, by id."""

        async def page(token: str) -> pb.ListResourcesResponse:
            request = pb.ListResourcesRequest(connection_id=connection, page_size=PAGE_SIZE, page_token=token)
            stub = self._rpc.stubs.catalog
            return await self._rpc.unary(stub.ListResources, request, SLOW_UNARY_SECONDS)

        return walk(page, lambda answer: answer.resources)

    async def price(self, connection: str, resource_id: str) -> Price:
        """Get the price of one machine."""
        request = pb.GetPricingRequest(connection_id=connection, resource_id=resource_id)
        return (await self._rpc.unary(self._rpc.stubs.catalog.GetPricing, request, SLOW_UNARY_SECONDS)).price

    async def compare_prices(self, requirements: pb.Requirements | None = None) -> pb.ComparePricesResponse:
        """Ask all connections for fitting machines, cheapest first; also says who could not be asked."""
        request = pb.ComparePricesRequest(requirements=requirements)
        return await self._rpc.unary(self._rpc.stubs.catalog.ComparePrices, request, SLOW_UNARY_SECONDS)

    async def estimate(self, connection: str, resource_id: str, duration: timedelta) -> pb.EstimateCostResponse:
        """Say what a machine costs for so long."""
        length = Duration()
        length.FromTimedelta(duration)
        request = pb.EstimateCostRequest(connection_id=connection, resource_id=resource_id, duration=length)
        return await self._rpc.unary(self._rpc.stubs.catalog.EstimateCost, request, SLOW_UNARY_SECONDS)

    def search_models(self, connection: str, query: str) -> AsyncGenerator[Model, None]:
        """Yield models of a platform's registry, best first; stop reading when you have enough."""

        async def page(token: str) -> pb.SearchModelsResponse:
            request = pb.SearchModelsRequest(connection_id=connection, query=query, page_token=token)
            return await self._rpc.unary(self._rpc.stubs.catalog.SearchModels, request, SLOW_UNARY_SECONDS)

        return walk(page, lambda answer: answer.models)

    async def model(self, connection: str, model_id: str) -> Model:
        """Get all that a registry tells about a model."""
        request = pb.GetModelMetadataRequest(connection_id=connection, model_id=model_id)
        return (await self._rpc.unary(self._rpc.stubs.catalog.GetModelMetadata, request, SLOW_UNARY_SECONDS)).model
