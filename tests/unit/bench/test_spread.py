"""How sure a median of some rounds is."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable

import pytest

from tests.bench.spread import noise_of, worded

pytestmark = pytest.mark.unit

TRIES = 2_000


def leaning(source: random.Random) -> float:
    """Draw as times come: few far above."""
    return source.lognormvariate(0, 1)


WAYS = pytest.mark.parametrize("draw", [random.Random.random, leaning])


@WAYS
@pytest.mark.parametrize("rounds", [6, 7, 9, 15, 25])
def test_nineteen_of_twenty_medians_are_off_by_no_more_than_their_noise(
    rounds: int, draw: Callable[[random.Random], float]
) -> None:
    assert share_within_noise(rounds, draw) > 0.94


@WAYS
@pytest.mark.parametrize("rounds", [3, 4, 5])
def test_of_few_rounds_nine_of_ten_are(rounds: int, draw: Callable[[random.Random], float]) -> None:
    assert share_within_noise(rounds, draw) > 0.88


def share_within_noise(rounds: int, draw: Callable[[random.Random], float]) -> float:
    source = random.Random(rounds)
    middle = statistics.median(draw(source) for _ in range(20_000))
    kept = 0
    for _ in range(TRIES):
        found = [draw(source) for _ in range(rounds)]
        kept += abs(statistics.median(found) - middle) <= noise_of(found)
    return kept / TRIES


def test_a_single_wild_round_of_nine_does_not_count() -> None:
    assert noise_of([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 50.0]) == 0.0


def test_few_rounds_are_trusted_less_than_their_range() -> None:
    assert noise_of([1.0, 2.0, 3.0]) == 2.0
    assert noise_of([1.0]) == 0.0


@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [
        (0.00052, "ms", "0.52 ms"),
        (0.01045, "ms", "10.4 ms"),
        (251_056.4, "lines/s", "251,056 lines/s"),
        (0.0, "", "0.00"),
    ],
)
def test_figures_are_written_with_three_digits_in_their_unit(value: float, unit: str, written: str) -> None:
    assert worded(value, unit) == written
