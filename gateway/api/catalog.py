"""`CatalogService`: machines, prices and models."""

from __future__ import annotations

from datetime import timedelta
from typing import cast

from gateway.api import requests
from gateway.catalog.model import Offer, OfferError, Requirements
from gateway.catalog.service import Catalog
from gateway.paging import PageRequest
from gateway.wire.catalog import (
    price_to_proto,
    resource_to_proto,
    resource_type_from_proto,
)
from gateway.wire.fields import nested
from gateway.wire.time import duration_from_proto, time_to_proto
from peftstudio.gateway.v1 import catalog_service_pb2 as pb
from peftstudio.gateway.v1 import catalog_service_pb2_grpc as pb_grpc

DEFAULT_DURATION = timedelta(hours=1)
"""What an estimate is made for where nobody says how long the job runs."""


class CatalogServicer(pb_grpc.CatalogServiceServicer):
    """Answer calls about what platforms offer; with models as they came, which are in wire format already."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def ListResources(self, request: pb.ListResourcesRequest, context: object) -> pb.ListResourcesResponse:
        requests.require(connection_id=request.connection_id)
        page = PageRequest.parse(request.page_size, request.page_token, request.connection_id)
        found = await self._catalog.resources(request.connection_id)
        machines, token = page.cut([(resource.id, resource) for resource in found])
        return pb.ListResourcesResponse(resources=map(resource_to_proto, machines), next_page_token=token)

    async def GetPricing(self, request: pb.GetPricingRequest, context: object) -> pb.GetPricingResponse:
        requests.require(connection_id=request.connection_id, resource_id=request.resource_id)
        price = await self._catalog.price(request.connection_id, request.resource_id)
        return pb.GetPricingResponse(price=price_to_proto(price))

    async def ComparePrices(self, request: pb.ComparePricesRequest, context: object) -> pb.ComparePricesResponse:
        found = await self._catalog.compare(_requirements(request.requirements))
        return pb.ComparePricesResponse(
            offers=map(_offer_to_proto, found.offers),
            errors=map(_error_to_proto, found.errors),
            as_of=time_to_proto(found.as_of),
        )

    async def EstimateCost(self, request: pb.EstimateCostRequest, context: object) -> pb.EstimateCostResponse:
        requests.require(connection_id=request.connection_id, resource_id=request.resource_id)
        duration = duration_from_proto(request.duration) or DEFAULT_DURATION
        amount, price = await self._catalog.estimate(request.connection_id, request.resource_id, duration)
        return pb.EstimateCostResponse(amount_micros=amount, price=price_to_proto(price))

    async def SearchModels(self, request: pb.SearchModelsRequest, context: object) -> pb.SearchModelsResponse:
        requests.require(connection_id=request.connection_id)
        question = f"{request.connection_id}:{request.query}"
        page = PageRequest.parse(request.page_size, request.page_token, question)
        skip = int(page.after or 0)
        found = await self._catalog.search_models(request.connection_id, request.query, skip + page.size + 1)
        shown, more = found[skip : skip + page.size], found[skip + page.size :]
        token = page.token(str(skip + page.size)) if more else ""
        rest = pb.SearchModelsResponse(next_page_token=token).SerializeToString()
        models = b"".join([nested(pb.SearchModelsResponse.MODELS_FIELD_NUMBER, model) for model in shown])
        return cast("pb.SearchModelsResponse", models + rest)

    async def GetModelMetadata(
        self, request: pb.GetModelMetadataRequest, context: object
    ) -> pb.GetModelMetadataResponse:
        requests.require(connection_id=request.connection_id, model_id=request.model_id)
        model = await self._catalog.model(request.connection_id, request.model_id)
        return cast("pb.GetModelMetadataResponse", nested(pb.GetModelMetadataResponse.MODEL_FIELD_NUMBER, model))


def _requirements(message: pb.Requirements) -> Requirements:
    return Requirements(
        type=resource_type_from_proto(message.type),
        min_gpu_count=message.min_gpu_count,
        min_vram_gb=message.min_vram_gb,
        gpu_type=message.gpu_type,
        available_only=message.available_only,
        connection_ids=tuple(message.connection_ids),
        duration=duration_from_proto(message.duration) or DEFAULT_DURATION,
    )


def _offer_to_proto(offer: Offer) -> pb.Offer:
    return pb.Offer(
        connection_id=offer.connection_id,
        connector_id=offer.connector_id,
        resource=resource_to_proto(offer.resource),
        price=price_to_proto(offer.price),
        micros_per_gpu_hour=offer.micros_per_gpu_hour,
        micros_per_vram_gb_hour=offer.micros_per_vram_gb_hour,
        estimate_micros=offer.estimate_micros,
    )


def _error_to_proto(error: OfferError) -> pb.OfferError:
    return pb.OfferError(connection_id=error.connection_id, reason=error.reason, message=error.message)
