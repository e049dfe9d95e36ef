"""Cutting what an author yields into lines."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector_sdk._lines import LineFolder

pytestmark = pytest.mark.unit


def _lines(*items: object) -> list[str]:
    folder = LineFolder()
    return [line for item in items for line in folder.feed(item)] + folder.finish()


@pytest.mark.parametrize(
    ("items", "lines"),
    [
        (["a", "b"], ["a", "b"]),
        (["a\n", "b\n"], ["a", "b"]),
        (["a\nb"], ["a", "b"]),
        (["a\n\nb\n"], ["a", "", "b"]),
        (["", "\n"], ["", ""]),
        (["a\r\n", "b\r\n"], ["a", "b"]),
        (["a\r", "\nb"], ["a", "b"]),
        (["1%\r2%\r3%"], ["3%"]),
        (["1%\r", "2%\r", "3%\r"], ["3%"]),
        (["\r1%", "\r2%", "done"], ["2%", "done"]),
        (["\r"], [""]),
        ([b"\xff"], ["�"]),
        ([7], ["7"]),
    ],
)
def test_items_become_lines(items: list[object], lines: list[str]) -> None:
    assert _lines(*items) == lines


@given(st.lists(st.text(alphabet="ab\r\n", max_size=6), max_size=12))
def test_no_line_has_a_line_end_in_it_and_a_replay_gives_the_same(items: list[str]) -> None:
    lines = _lines(*items)
    assert lines == _lines(*items)
    assert not any(mark in line for line in lines for mark in "\r\n")


@given(st.lists(st.text(alphabet="abc \n", max_size=6), max_size=12))
def test_without_carriage_returns_every_character_arrives(items: list[str]) -> None:
    assert "".join(_lines(*items)) == "".join(items).replace("\n", "")


@pytest.mark.parametrize(
    ("items", "is_torn"),
    [
        (["a\n", "b\n"], False),
        (["a\n", "hal"], True),
        (["a", "b"], False),
        (["a\n", "b", "c"], False),
        (["a\nb", "c"], False),
        (["a\n", "50%\r"], True),
    ],
)
def test_a_last_item_without_the_line_end_that_all_others_had_is_half_a_line(items: list[str], is_torn: bool) -> None:
    folder = LineFolder()
    for item in items:
        folder.feed(item)
    assert folder.is_torn == is_torn


@given(
    st.lists(st.lists(st.text(alphabet="ab\r\n", max_size=4) | st.sampled_from(["a\n", "b"]), max_size=8), max_size=6)
)
def test_items_taken_together_become_the_lines_that_they_become_one_by_one(batches: list[list[str]]) -> None:
    folder = LineFolder()
    together = [line for batch in batches for line in folder.feed_all(batch)] + folder.finish()
    assert together == _lines(*(item for batch in batches for item in batch))


@pytest.mark.parametrize("item", ["\r%0100d%%", "%0100d%%\r"])
def test_a_progress_bar_that_never_ends_its_line_is_held_in_bounded_memory(item: str) -> None:
    folder = LineFolder()
    folder.feed("Loading\n")
    tracemalloc.start()
    try:
        drawn = [line for state in range(5_000) for line in folder.feed(item % state)]
        drawn += [line for state in range(5_000) for line in folder.feed_all([item % state])]
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 20_000
    assert [*drawn, *folder.finish()] == [f"{4999:0100}%"]
