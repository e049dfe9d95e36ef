"""What time on a machine costs: integer arithmetic, rounded up, as platforms bill."""

from __future__ import annotations

from datetime import timedelta

from gateway.catalog.model import SECONDS_PER_UNIT, Price, PriceUnit, Resource

_SECONDS_PER_HOUR = 3600
_MICROS_PER_SECOND = 1_000_000
_MICROSECOND = timedelta(microseconds=1)
_MILLI = 1000


def estimate_micros(price: Price, duration: timedelta) -> int | None:
    """Return what so much time costs, in millionths of the price's currency.

    The time is at least the platform's minimum, then rounded up to its billing increment. 0 where nobody charges; None
    where time says nothing about the cost, as for prices per token.
    """
    if price.not_priced:
        return 0
    if price.unit is PriceUnit.JOB:
        return price.amount_micros
    unit_seconds = SECONDS_PER_UNIT.get(price.unit)
    if unit_seconds is None:
        return None
    return _ceil_div(price.amount_micros * _billed_micros(price, duration), unit_seconds * _MICROS_PER_SECOND)


def tokens_micros(price: Price, tokens: int) -> int:
    """Return what so many tokens cost, in millionths of the price's currency; 0 where nobody charges for tokens."""
    return 0 if price.not_priced or price.unit is not PriceUnit.TOKEN else price.amount_micros * max(tokens, 0)


def micros_per_hour(price: Price) -> int | None:
    """Return the price of an hour; None = not priced, or not by time."""
    unit_seconds = None if price.not_priced else SECONDS_PER_UNIT.get(price.unit)
    return None if unit_seconds is None else price.amount_micros * _SECONDS_PER_HOUR // unit_seconds


def micros_per_gpu_hour(price: Price, resource: Resource) -> int | None:
    """Return the price of one accelerator's hour; None = not priced by time, or there is no accelerator."""
    hour = micros_per_hour(price)
    return None if hour is None or resource.gpu_count <= 0 else _ceil_div(hour, resource.gpu_count)


def micros_per_vram_gb_hour(price: Price, resource: Resource) -> int | None:
    """Return the price of one GB of accelerator memory for an hour; None as for accelerators, or memory unknown."""
    hour = micros_per_hour(price)
    # Memory is told in GB with fractions; thousandths keep the division one of integers.
    thousandths = round(resource.vram_gb * _MILLI) * max(resource.gpu_count, 0)
    return None if hour is None or thousandths <= 0 else _ceil_div(hour * _MILLI, thousandths)


def _billed_micros(price: Price, duration: timedelta) -> int:
    used = max(duration // _MICROSECOND, price.minimum_seconds * _MICROS_PER_SECOND, 0)
    increment = price.billing_increment_seconds * _MICROS_PER_SECOND
    return used if increment <= 0 else _ceil_div(used, increment) * increment


def _ceil_div(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)
