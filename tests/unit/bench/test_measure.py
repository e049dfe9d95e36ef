"""When a measurement misses its goal."""

from __future__ import annotations

import pytest

from tests.bench.growth import exponent
from tests.bench.measure import Row, in_turns_of

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("ratio", "noise", "goal", "at_least", "falls_short"),
    [
        (1.4, 0.0, 1.5, False, False),
        (1.6, 0.0, 1.5, False, True),
        (1.6, 0.2, 1.5, False, False),
        (6.0, 0.0, 5.0, True, False),
        (4.0, 0.0, 5.0, True, True),
        (4.0, 1.5, 5.0, True, False),
    ],
)
def test_a_ratio_misses_its_goal_only_by_more_than_the_noise(
    ratio: float, noise: float, goal: float, at_least: bool, falls_short: bool
) -> None:
    row = Row("a call", "1 ms", "1 ms", ratio, goal, noise, at_least=at_least)
    assert row.falls_short is falls_short


def test_a_figure_of_its_own_has_a_bound_on_either_side() -> None:
    assert Row("rate", "9", value=9, least=10).falls_short
    assert not Row("rate", "11", value=11, least=10).falls_short
    assert Row("memory", "11", value=11, most=10).falls_short
    assert not Row("memory", "9", value=9, most=10).falls_short


def test_rates_and_times_are_compared_pair_by_pair() -> None:
    # A machine that is twice as slow for a round slows both of a pair.
    times = Row.beside("call", [1.0, 2.0, 1.0], [0.5, 1.0, 0.5], "direct", 1.0)
    assert (times.ratio, times.noise, times.goal_words) == (2.0, 0.0, "≤ 1")
    rates = Row.of_rates("lines", [100.0, 50.0, 100.0], [10.0, 5.0, 10.0], "nginx", 20.0, "lines/s")
    assert (rates.ratio, rates.falls_short, rates.goal_words) == (10.0, True, "≥ 20")


async def test_ways_are_taken_in_turns_each_first_in_its_turn() -> None:
    seen: list[str] = []

    async def way(name: str) -> float:
        seen.append(name)
        return 1.0

    found = await in_turns_of({"a": lambda: way("a"), "b": lambda: way("b")}, 2)
    assert "".join(seen) == "ab" + "ab" + "ba"
    assert {name: len(values) for name, values in found.items()} == {"a": 2, "b": 2}


def test_what_costs_twice_as_much_for_twice_as_many_has_the_exponent_one() -> None:
    assert exponent({1: 5.0, 10: 7.0, 20: 14.0}) == pytest.approx(1.0)
    assert exponent({1: 1.0, 10: 1.0, 100: 100.0}) == pytest.approx(2.0)
