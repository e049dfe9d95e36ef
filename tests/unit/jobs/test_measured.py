"""Metrics out of logs, and curves with fewer points."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.jobs.measured import MAX_LINE_CHARS, measured, tokens_of
from gateway.jobs.model import Metric
from gateway.jobs.thinning import thinned
from gateway.logs.wire import LogLine
from gateway.wire.jobs import metric_to_proto
from tests.support.clocks import NOON

pytestmark = pytest.mark.unit


def read(*texts: str, first_seq: int = 1) -> list[tuple[str, int, float]]:
    points = measured([LogLine(text=text) for text in texts], first_seq, NOON)
    return [(point.name, point.step, point.value) for point in points]


def test_a_trainers_dict_is_read_with_the_step_that_it_names() -> None:
    assert read("{'loss': 1.2, 'step': 10}") == [("loss", 10, 1.2)]
    assert read('{"eval_loss": 0.5, "global_step": 7, "epoch": 0.5}') == [("eval_loss", 7, 0.5)]
    (point,) = measured([LogLine(text="{'loss': 2, 'epoch': 0.25}", attempt=2)], 1, NOON)
    assert (point.epoch, point.attempt, point.time) == (0.25, 2, NOON)


def test_a_dict_without_a_step_stands_at_the_number_of_its_line_whenever_it_is_read() -> None:
    lines = ["downloading", "{'loss': 2.0, 'learning_rate': 1e-05}", "{'loss': 1.5}"]
    assert read(*lines, first_seq=40) == [("loss", 41, 2.0), ("learning_rate", 41, 1e-05), ("loss", 42, 1.5)]


def test_what_newer_trainers_print_as_text_is_read_too() -> None:
    assert read("{'loss': '1.25', 'grad_norm': '3', 'epoch': '0.1'}", first_seq=5) == [
        ("loss", 5, 1.25),
        ("grad_norm", 5, 3.0),
    ]


def test_values_that_are_no_numbers_are_kept_and_flagged() -> None:
    found = measured([LogLine(text="{'loss': nan, 'grad_norm': inf, 'a': -inf, 'b': 1, 'step': 3}")], 1, NOON)
    assert [(point.name, math.isfinite(point.value)) for point in found] == [
        ("loss", False),
        ("grad_norm", False),
        ("a", False),
        ("b", True),
    ]
    assert [metric_to_proto(point).not_finite for point in found] == [True, True, True, False]


def test_a_dict_behind_a_progress_bar_is_found() -> None:
    assert read(" 10%|#    | 1/10\r{'loss': 3.5, 'step': 1}") == [("loss", 1, 3.5)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "loss: 1.2",
        "{'text': 'hello'}",
        "{'loss': 1.2, 'name': 'x'}",
        "{'loss': 1.2",
        "{'loss': [1, 2]}",
        "{'loss': __import__('os')}",
        "{'loss': 1.2} {'loss': 1.3}",
        "{'a': 1" + ", 'a': 1" * MAX_LINE_CHARS + "}",
        "{" + ", ".join(f"'k{number}': {number}" for number in range(100)) + "}",
    ],
)
def test_all_else_is_left_alone(text: str) -> None:
    assert read(text) == []


@pytest.mark.timeout(20)
@pytest.mark.parametrize("part", ["1", "1.", " ", "'a': 1,", "'a': 1, ", "'", '"a', "1e", "{"])
def test_no_line_holds_up_the_gateway(part: str) -> None:
    # A pattern that backtracks takes minutes for these; one that does not, milliseconds.
    for _ in range(100):
        assert read("{'a': " + part * (MAX_LINE_CHARS // len(part) - 20) + "x", "{" + part * 400 + "x}") == []


def test_tokens_are_counted_where_a_trainer_tells_them() -> None:
    assert tokens_of(measured([LogLine(text="{'num_tokens': 5120.0, 'loss': 1.0}")], 1, NOON)) == 5120
    assert tokens_of(measured([LogLine(text="{'num_tokens': nan, 'loss': 1.0}")], 1, NOON)) == 0


def curve(name: str, values: Sequence[float]) -> list[Metric]:
    return [
        Metric(name=name, step=step, value=value, epoch=0.0, time=NOON, attempt=1) for step, value in enumerate(values)
    ]


async def thin(points: Sequence[Metric], most: int) -> list[Metric]:
    async def stream() -> AsyncIterator[Metric]:
        for point in points:
            yield point

    return await thinned(stream(), Counter(point.name for point in points), most)


values = st.lists(st.floats(-100, 100) | st.sampled_from([math.nan, math.inf]), min_size=1, max_size=300)


@settings(deadline=None)
@given(values, values, st.integers(1, 40))
async def test_a_thinned_curve_keeps_its_ends_its_order_and_its_bound(
    first: list[float], second: list[float], most: int
) -> None:
    points = curve("a", first) + curve("b", second)
    kept = await thin(points, most)
    for name, whole in (("a", first), ("b", second)):
        steps = [point.step for point in kept if point.name == name]
        assert steps == sorted(set(steps))
        assert len(steps) <= most
        assert steps[-1] == len(whole) - 1
        if most >= 2:
            assert steps[0] == 0
        if len(whole) <= most:
            assert len(steps) == len(whole)


@settings(deadline=None)
@given(st.integers(1, 998), st.integers(1, 998), st.integers(6, 50))
async def test_a_peak_a_valley_and_a_nan_are_still_seen_in_a_thinned_curve(peak: int, valley: int, most: int) -> None:
    whole = [1.0] * 1000
    whole[valley], whole[peak] = -5.0, 9.0
    kept = {point.value for point in await thin(curve("a", whole), most)}
    assert 9.0 in kept
    assert peak == valley or -5.0 in kept
    whole[valley] = math.nan
    assert any(math.isnan(point.value) for point in await thin(curve("a", whole), most))
