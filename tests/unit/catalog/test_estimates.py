from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalog.estimate import estimate_micros, micros_per_gpu_hour, micros_per_vram_gb_hour
from gateway.catalog.model import SECONDS_PER_UNIT, PriceUnit, Resource
from tests.support.fake_platform import hourly

pytestmark = pytest.mark.unit
HOURLY = hourly("m", 2_000_000)
MACHINE = Resource(id="m", name="m", gpu_count=4, vram_gb=80)


@pytest.mark.parametrize(
    ("duration", "increment", "minimum", "micros"),
    [
        (timedelta(hours=1), 0, 0, 2_000_000),
        (timedelta(minutes=90), 0, 0, 3_000_000),
        (timedelta(minutes=61), 3600, 0, 4_000_000),
        (timedelta(minutes=60), 3600, 0, 2_000_000),
        (timedelta(seconds=1), 60, 0, 33_334),
        (timedelta(seconds=1), 0, 600, 333_334),
        (timedelta(seconds=1), 3600, 600, 2_000_000),
        (timedelta(0), 0, 0, 0),
        (timedelta(microseconds=1), 0, 0, 1),
    ],
)
def test_time_is_billed_as_platforms_do(duration: timedelta, increment: int, minimum: int, micros: int) -> None:
    price = replace(HOURLY, billing_increment_seconds=increment, minimum_seconds=minimum)
    assert estimate_micros(price, duration) == micros


def test_what_is_not_charged_by_time_is_not_guessed() -> None:
    assert estimate_micros(replace(HOURLY, not_priced=True), timedelta(hours=1)) == 0
    assert estimate_micros(replace(HOURLY, unit=PriceUnit.TOKEN), timedelta(hours=1)) is None
    assert estimate_micros(replace(HOURLY, unit=PriceUnit.JOB), timedelta(hours=9)) == 2_000_000


def test_prices_are_normalised_per_accelerator_and_per_gigabyte() -> None:
    assert micros_per_gpu_hour(HOURLY, MACHINE) == 500_000
    assert micros_per_vram_gb_hour(HOURLY, MACHINE) == 6_250
    per_second = replace(HOURLY, unit=PriceUnit.SECOND, amount_micros=100)
    assert micros_per_gpu_hour(per_second, MACHINE) == 90_000
    for price, machine in (
        (replace(HOURLY, not_priced=True), MACHINE),
        (replace(HOURLY, unit=PriceUnit.JOB), MACHINE),
        (HOURLY, replace(MACHINE, gpu_count=0)),
    ):
        assert micros_per_gpu_hour(price, machine) is None
        assert micros_per_vram_gb_hour(price, machine) is None
    assert micros_per_vram_gb_hour(HOURLY, replace(MACHINE, vram_gb=0)) is None


@given(
    st.integers(0, 10**9),
    st.sampled_from(list(SECONDS_PER_UNIT)),
    st.integers(0, 7200),
    st.integers(0, 7200),
    st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=30)),
)
def test_an_estimate_is_never_less_than_the_time_costs_and_less_than_one_increment_more(
    amount: int, unit: PriceUnit, increment: int, minimum: int, duration: timedelta
) -> None:
    price = replace(
        HOURLY, amount_micros=amount, unit=unit, billing_increment_seconds=increment, minimum_seconds=minimum
    )
    estimate = estimate_micros(price, duration)
    assert estimate is not None
    seconds = max(Fraction(duration // timedelta(microseconds=1), 10**6), Fraction(minimum))
    exact = Fraction(amount, SECONDS_PER_UNIT[unit]) * seconds
    one_more = Fraction(amount, SECONDS_PER_UNIT[unit]) * increment
    assert exact <= estimate < exact + one_more + 1
    assert estimate <= (estimate_micros(price, duration + timedelta(hours=1)) or 0)
