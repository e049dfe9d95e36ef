"""Machines, prices and models."""

from __future__ import annotations

from datetime import datetime

from gateway.catalog.model import Model, Price, PriceSource, PriceUnit, Resource, ResourceType
from gateway.wire.enums import EnumPair
from gateway.wire.struct import json_from_struct
from gateway.wire.time import time_from_proto, time_to_proto
from peftstudio.job.v1 import model_pb2, resource_pb2

_TYPES = EnumPair(ResourceType, resource_pb2.ResourceType, "RESOURCE_TYPE_")
_UNITS = EnumPair(PriceUnit, resource_pb2.PriceUnit, "PRICE_UNIT_")
_SOURCES = EnumPair(PriceSource, resource_pb2.PriceSource, "PRICE_SOURCE_")


def resource_type_to_proto(kind: ResourceType) -> resource_pb2.ResourceType.ValueType:
    """Convert a kind of processor."""
    return _TYPES.to_proto(kind)


def resource_type_from_proto(number: int) -> ResourceType:
    """Convert a kind of processor; UNSPECIFIED where it is not known here."""
    return _TYPES.from_proto(number) or ResourceType.UNSPECIFIED


def resource_to_proto(resource: Resource) -> resource_pb2.Resource:
    """Convert a machine."""
    return resource_pb2.Resource(
        id=resource.id,
        name=resource.name,
        type=resource_type_to_proto(resource.type),
        gpu_type=resource.gpu_type,
        gpu_count=resource.gpu_count,
        vram_gb=resource.vram_gb,
        cpu_cores=resource.cpu_cores,
        ram_gb=resource.ram_gb,
        available=resource.available,
        region=resource.region,
    )


def resource_from_proto(message: resource_pb2.Resource) -> Resource:
    """Convert a machine."""
    return Resource(
        id=message.id,
        name=message.name,
        type=resource_type_from_proto(message.type),
        gpu_type=message.gpu_type,
        gpu_count=message.gpu_count,
        vram_gb=message.vram_gb,
        cpu_cores=message.cpu_cores,
        ram_gb=message.ram_gb,
        available=message.available,
        region=message.region,
    )


def price_to_proto(price: Price) -> resource_pb2.Price:
    """Convert a price."""
    return resource_pb2.Price(
        resource_id=price.resource_id,
        not_priced=price.not_priced,
        amount_micros=price.amount_micros,
        currency=price.currency,
        unit=_UNITS.to_proto(price.unit),
        billing_increment_seconds=price.billing_increment_seconds,
        minimum_seconds=price.minimum_seconds,
        spot_amount_micros=price.spot_amount_micros,
        as_of=time_to_proto(price.as_of),
        source=_SOURCES.to_proto(price.source),
    )


def price_from_proto(message: resource_pb2.Price, *, received_at: datetime) -> Price:
    """Convert a price; `received_at` stands in for a time that is absent."""
    return Price(
        resource_id=message.resource_id,
        not_priced=message.not_priced,
        amount_micros=message.amount_micros,
        currency=message.currency or "USD",
        unit=_UNITS.from_proto(message.unit) or PriceUnit.HOUR,
        billing_increment_seconds=message.billing_increment_seconds,
        minimum_seconds=message.minimum_seconds,
        spot_amount_micros=message.spot_amount_micros if message.HasField("spot_amount_micros") else None,
        as_of=time_from_proto(message.as_of) or received_at,
        source=_SOURCES.from_proto(message.source) or PriceSource.UNSPECIFIED,
    )


def model_from_proto(message: model_pb2.Model) -> Model:
    """Take a model of a registry as it came.

    Raises:
        ValueError: Its metadata is not JSON.

    """
    if message.metadata.fields:
        json_from_struct(message.metadata)
    return Model(message.SerializeToString())
