"""Turn and turn about, and what growth is."""

from __future__ import annotations

import pytest

from tests.bench.growth import exponent, row_of
from tests.bench.measure import in_turns, in_turns_of

pytestmark = pytest.mark.unit


async def test_ways_are_taken_in_turns_each_first_in_its_turn() -> None:
    seen: list[str] = []

    async def way(name: str) -> float:
        seen.append(name)
        return 1.0

    found = await in_turns_of({"a": lambda: way("a"), "b": lambda: way("b")}, 2)
    assert "".join(seen) == "ab" + "ab" + "ba"
    assert {name: len(values) for name, values in found.items()} == {"a": 2, "b": 2}


async def test_two_sides_are_compared_by_the_median_of_their_pairs() -> None:
    ours, base = iter([9.0, 2.0, 4.0, 9.0]), iter([1.0, 1.0, 2.0, 1.0])

    async def mine() -> float:
        return next(ours)

    async def theirs() -> float:
        return next(base)

    pairs = await in_turns(mine, theirs, 3)
    assert (pairs.ratio, list(pairs.ours)) == (2.0, [2.0, 4.0, 9.0])


def test_what_costs_twice_as_much_for_twice_as_many_has_the_exponent_one() -> None:
    assert exponent({1: 5.0, 10: 7.0, 20: 14.0}) == pytest.approx(1.0)
    assert exponent({1: 1.0, 10: 1.0, 100: 100.0}) == pytest.approx(2.0)


def test_growth_is_told_by_the_exponents_of_the_rounds() -> None:
    row = row_of("lines", {1: [1.0, 1.0, 1.0], 10: [1.0, 2.0, 1.0], 100: [10.0, 20.0, 100.0]})
    assert row.value == pytest.approx(1.0)
    assert (row.costs, row.goal_words) == (((1, 1.0), (10, 1.0), (100, 20.0)), "≤ 1.15")
