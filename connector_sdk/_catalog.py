"""Write resources, prices and models."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from connector_sdk._struct import to_struct
from connector_sdk._text import clean
from connector_sdk._times import to_timestamp
from connector_sdk.connector import Model, PlatformConnector
from connector_sdk.errors import BadUpstreamError
from connector_sdk.models import ModelInfo, PricingInfo, Resource
from peftstudio.job.v1 import model_pb2, resource_pb2

MICROS = 1_000_000
MODEL_IDS = ("id", "model_id", "modelId", "name")
"""Where registries keep the id of a model, the surest first."""


def to_resource(said: Resource | Mapping[str, object]) -> resource_pb2.Resource:
    """Write one machine."""
    resource = said if isinstance(said, Resource) else Resource.model_validate(said)
    return resource_pb2.Resource(
        id=clean(resource.id),
        name=clean(resource.name),
        type=resource_pb2.ResourceType.Value(f"RESOURCE_TYPE_{resource.type.name}"),
        gpu_type=clean(resource.gpu_type or ""),
        gpu_count=resource.gpu_count,
        vram_gb=resource.vram_gb,
        cpu_cores=resource.cpu_cores,
        ram_gb=resource.ram_gb,
        available=resource.available,
        region=clean(resource.region or ""),
    )


def to_price(said: PricingInfo | Mapping[str, object], resource_id: str) -> resource_pb2.Price:
    """Write what a machine costs, in millionths of the currency per hour."""
    price = said if isinstance(said, PricingInfo) else PricingInfo.model_validate(said)
    spot = price.spot_price_per_hour
    return resource_pb2.Price(
        resource_id=clean(price.resource_id or resource_id),
        not_priced=price.hourly_rate is None,
        amount_micros=_micros(price.hourly_rate or 0),
        currency=clean(price.currency),
        unit=resource_pb2.PRICE_UNIT_HOUR,
        billing_increment_seconds=price.billing_increment,
        minimum_seconds=price.minimum_charge_seconds,
        spot_amount_micros=None if spot is None else _micros(spot),
        as_of=to_timestamp(price.as_of or datetime.now(UTC)),
        source=resource_pb2.PriceSource.Value(f"PRICE_SOURCE_{price.source.upper()}"),
    )


def to_model(said: ModelInfo | Mapping[str, object]) -> model_pb2.Model:
    """Write one model of a registry."""
    info = said if isinstance(said, ModelInfo) else _model_info(said)
    return model_pb2.Model(
        id=clean(info.id),
        name=clean(info.name or info.id),
        author=clean(info.author),
        downloads=info.downloads,
        likes=info.likes,
        tags=[clean(tag) for tag in info.tags],
        metadata=to_struct(info.metadata),
    )


async def search(connector: PlatformConnector, query: str, limit: int) -> Sequence[Model]:
    """Search the registry; `limit` 0 leaves the number to it."""
    takes_limit = "limit" in inspect.signature(connector.search_models).parameters
    options = {"limit": limit} if takes_limit and limit else {}
    found = await connector.search_models(query, **options)
    return found[:limit] if limit else found


def _model_info(said: Mapping[str, object]) -> ModelInfo:
    name = next((str(said[key]) for key in MODEL_IDS if said.get(key)), None)
    if name is None:
        raise BadUpstreamError("A model came without an id.")
    known = {key: said[key] for key in ("name", "author", "downloads", "likes", "tags") if said.get(key) is not None}
    rest = {key: value for key, value in said.items() if key not in ModelInfo.model_fields}
    extra = said.get("metadata")
    return ModelInfo.model_validate(
        {**known, "id": name, "metadata": {**rest, **(extra if isinstance(extra, Mapping) else {})}}
    )


def _micros(amount: float) -> int:
    if not math.isfinite(amount):
        raise BadUpstreamError(f"A price of {amount} is no price.")
    return round(Decimal(str(amount)) * MICROS)
