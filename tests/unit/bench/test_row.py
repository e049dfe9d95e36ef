"""What becomes of a goal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.bench.row import Row, Verdict

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("ratio", "noise", "goal", "at_least", "verdict"),
    [
        (1.4, 0.0, 1.5, False, Verdict.MET),
        (1.6, 0.0, 1.5, False, Verdict.MISSED),
        (1.6, 0.2, 1.5, False, Verdict.UNCLEAR),
        (6.0, 0.0, 5.0, True, Verdict.MET),
        (4.0, 0.0, 5.0, True, Verdict.MISSED),
        (4.0, 1.5, 5.0, True, Verdict.UNCLEAR),
        (4.0, 1.5, None, True, None),
    ],
)
def test_a_ratio_misses_its_goal_only_by_more_than_the_noise(
    ratio: float, noise: float, goal: float | None, at_least: bool, verdict: Verdict | None
) -> None:
    row = Row("a call", "1 ms", "1 ms", ratio, goal, noise, at_least=at_least)
    assert (row.verdict, row.falls_short) == (verdict, verdict is Verdict.MISSED)


def test_a_figure_that_stands_alone_has_a_bound_on_either_side_and_noise() -> None:
    assert Row("rate", "9", value=9, least=10).verdict is Verdict.MISSED
    assert Row("rate", "9", value=9, least=10, noise=2).verdict is Verdict.UNCLEAR
    assert Row("rate", "11", value=11, least=10).verdict is Verdict.MET
    assert Row("memory", "11", value=11, most=10).verdict is Verdict.MISSED
    assert Row("memory", "9", value=9, most=10).verdict is Verdict.MET


def test_a_figure_that_stands_alone_is_the_median_of_its_rounds_in_its_unit() -> None:
    row = Row.alone("a crash is seen", [0.010, 0.030, 0.020, 0.020, 0.020, 0.020], "ms", most=50)
    assert (row.figure, row.value, row.goal_words) == ("20.0 ms", 20.0, "≤ 50")
    assert row.noise == pytest.approx(10.0)


def test_rates_and_times_are_compared_round_by_round() -> None:
    # A machine that is twice as slow for a round slows both of a pair.
    times = Row.beside("call", [1.0, 2.0, 1.0], [0.5, 1.0, 0.5], "direct", 1.0)
    assert (times.ratio, times.noise, times.goal_words) == (2.0, 0.0, "≤ 1")
    rates = Row.of_rates("lines", [100.0, 50.0, 100.0], [10.0, 5.0, 10.0], "nginx", 20.0, "lines/s")
    assert (rates.ratio, rates.falls_short, rates.goal_words) == (10.0, True, "≥ 20")


def test_a_goal_that_the_least_program_misses_too_is_a_limit() -> None:
    row = Row.beside("call", [1.8] * 6, [1.0] * 6, "direct", 1.7)
    assert row.limited([1.75] * 6, "a bare pass-through", 1.2, "two hops").verdict is Verdict.LIMIT
    assert row.limited([1.6] * 6, "a bare pass-through", 1.2, "two hops").verdict is Verdict.MISSED


def test_who_is_far_from_the_least_program_has_more_to_gain_than_it_allows() -> None:
    row = Row.beside("call", [2.4] * 6, [1.0] * 6, "direct", 1.7)
    assert row.limited([1.75] * 6, "a bare pass-through", 1.2, "two hops").verdict is Verdict.MISSED


def test_a_limit_of_rates_is_reached_from_below() -> None:
    row = Row.alone("submissions", [400.0] * 6, "jobs/s", least=500)
    assert row.limited([480.0] * 6, "a bare durable service", 0.8, "the disk").verdict is Verdict.LIMIT
    assert row.limited([900.0] * 6, "a bare durable service", 0.8, "the disk").verdict is Verdict.MISSED


def test_a_goal_that_is_met_needs_no_limit() -> None:
    row = Row.of_rates("lines", [100.0] * 6, [10.0] * 6, "nginx", 5.0, "lines/s")
    assert row.limited([900.0] * 6, "a bare pipeline", 0.8, "lines are looked at").verdict is Verdict.MET


@pytest.mark.parametrize("share", [0.9, 2.1])
def test_what_is_far_from_the_least_program_is_held_up_by_something_else(share: float) -> None:
    row = Row.beside("call", [1.8] * 6, [1.0] * 6, "direct", 1.7)
    with pytest.raises(ValueError, match="proves nothing"):
        row.limited([1.6] * 6, "a bare pass-through", share, "two hops")


def test_noise_of_the_floor_is_on_the_side_of_the_limit() -> None:
    row = Row.beside("call", [2.4] * 6, [1.0] * 6, "direct", 1.7).limited([1.75] * 6, "a proxy", 1.2, "two hops")
    assert row.limit
    assert replace(row, limit=replace(row.limit, noise=0.2)).verdict is Verdict.LIMIT
