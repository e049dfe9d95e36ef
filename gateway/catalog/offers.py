"""Machines with their prices: which ones meet the requirements, and which come first."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.catalog.estimate import estimate_micros, micros_per_gpu_hour, micros_per_vram_gb_hour
from gateway.catalog.model import Offer, Price, Requirements, Resource, ResourceType
from gateway.connections.model import Connection


def meets(resource: Resource, wanted: Requirements) -> bool:
    """Whether a machine has what is wanted."""
    return (
        wanted.type in (ResourceType.UNSPECIFIED, resource.type)
        and resource.gpu_count >= wanted.min_gpu_count
        and resource.vram_gb >= wanted.min_vram_gb
        and wanted.gpu_type.casefold() in ("", resource.gpu_type.casefold())
        and (resource.available or not wanted.available_only)
    )


def make_offer(connection: Connection, resource: Resource, price: Price, wanted: Requirements) -> Offer:
    """Put a machine and its price side by side, with what can be compared."""
    return Offer(
        connection_id=connection.id,
        connector_id=connection.connector_id,
        resource=resource,
        price=price,
        micros_per_gpu_hour=micros_per_gpu_hour(price, resource),
        micros_per_vram_gb_hour=micros_per_vram_gb_hour(price, resource),
        estimate_micros=None if price.not_priced else estimate_micros(price, wanted.duration),
    )


def ranked(offers: Iterable[Offer]) -> tuple[Offer, ...]:
    """Put those that nobody charges for first, then the cheapest job, and those whose cost is unknown last.

    Amounts in different currencies cannot be compared; dollars come first, then each currency by itself.
    """
    return tuple(sorted(offers, key=_rank))


def _rank(offer: Offer) -> tuple[int, bool, str, int, int, str, str]:
    is_unknown = offer.estimate_micros is None and not offer.price.not_priced
    group = 0 if offer.price.not_priced else 2 if is_unknown else 1
    currency = "" if offer.price.not_priced else offer.price.currency
    per_gpu = offer.micros_per_gpu_hour or 0
    return (
        group,
        currency not in ("", "USD"),
        currency,
        offer.estimate_micros or 0,
        per_gpu,
        offer.connection_id,
        offer.resource.id,
    )
