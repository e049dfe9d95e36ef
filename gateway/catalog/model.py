"""Machines, prices and models, as platforms offer them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType


class ResourceType(StrEnum):
    """The kind of processor that makes a resource worth its price."""

    UNSPECIFIED = "UNSPECIFIED"
    GPU = "GPU"
    CPU = "CPU"
    TPU = "TPU"


class PriceUnit(StrEnum):
    """What a price is charged for."""

    HOUR = "HOUR"
    MINUTE = "MINUTE"
    SECOND = "SECOND"
    TOKEN = "TOKEN"
    JOB = "JOB"


class PriceSource(StrEnum):
    """How a price became known."""

    UNSPECIFIED = "UNSPECIFIED"
    LIVE = "LIVE"
    CATALOG = "CATALOG"
    STATIC = "STATIC"


SECONDS_PER_UNIT: Mapping[PriceUnit, int] = {PriceUnit.HOUR: 3600, PriceUnit.MINUTE: 60, PriceUnit.SECOND: 1}
"""Length of the units of time; the other units have none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One kind of machine."""

    id: str
    name: str
    type: ResourceType = ResourceType.UNSPECIFIED
    gpu_type: str = ""
    gpu_count: int = 0
    vram_gb: float = 0.0
    cpu_cores: int = 0
    ram_gb: float = 0.0
    available: bool = True
    region: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a resource costs."""

    resource_id: str
    not_priced: bool
    amount_micros: int = 0
    """Millionths of the currency per unit."""
    currency: str = "USD"
    unit: PriceUnit = PriceUnit.HOUR
    billing_increment_seconds: int = 0
    minimum_seconds: int = 0
    spot_amount_micros: int | None = None
    as_of: datetime
    source: PriceSource = PriceSource.UNSPECIFIED


Model = NewType("Model", bytes)
"""One model of a registry, in wire format: nothing in the gateway looks into it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """What a machine must have."""

    type: ResourceType = ResourceType.UNSPECIFIED
    min_gpu_count: int = 0
    min_vram_gb: float = 0.0
    gpu_type: str = ""
    available_only: bool = False
    connection_ids: tuple[str, ...] = ()
    duration: timedelta = field(default=timedelta(hours=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One machine with its price."""

    connection_id: str
    connector_id: str
    resource: Resource
    price: Price
    micros_per_gpu_hour: int | None = None
    micros_per_vram_gb_hour: int | None = None
    estimate_micros: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferError:
    """A connection that could not be asked."""

    connection_id: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a comparison found, cheapest first, and who could not be asked."""

    offers: tuple[Offer, ...]
    errors: tuple[OfferError, ...]
    as_of: datetime
