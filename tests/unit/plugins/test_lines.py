from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.plugins.lines import MAX_KEPT_CHARS, MAX_LINE_BYTES, MAX_LINES, TRUNCATED, LastLines, LineSplitter
from tests.support.clocks import FakeClock

pytestmark = pytest.mark.unit


@given(st.lists(st.text("ab\r ", max_size=8), max_size=20), st.integers(1, 7))
def test_lines_are_the_same_however_the_bytes_arrive(lines: list[str], step: int) -> None:
    data = "".join(f"{line}\n" for line in lines).encode()
    splitter = LineSplitter()
    cut = [line for at in range(0, len(data), step) for line in splitter.feed(data[at : at + step])]
    assert cut + list(splitter.flush()) == [line.rstrip("\r") for line in lines]


def test_a_line_that_is_too_long_is_cut_and_the_next_one_is_whole() -> None:
    splitter = LineSplitter()
    long = b"x" * (MAX_LINE_BYTES * 3)
    lines = [*splitter.feed(long[: MAX_LINE_BYTES + 5]), *splitter.feed(long), *splitter.feed(b"\nnext\n")]
    assert lines == ["x" * MAX_LINE_BYTES + TRUNCATED, "next"]


def test_bytes_that_are_no_text_do_not_stop_the_reader() -> None:
    assert list(LineSplitter().feed(b"\xff\xfe\n")) == ["\ufffd\ufffd"]


def test_only_the_last_lines_are_kept() -> None:
    lines = LastLines(lambda stream, line: None)
    for number in range(MAX_LINES + 50):
        lines.add("stdout", str(number))
    assert lines.snapshot()[0] == "50"
    assert len(lines.snapshot()) == MAX_LINES


def test_long_lines_do_not_grow_what_is_kept() -> None:
    lines = LastLines(lambda stream, line: None)
    for _ in range(MAX_LINES):
        lines.add("stdout", "y" * MAX_LINE_BYTES)
    assert sum(map(len, lines.snapshot())) <= MAX_KEPT_CHARS


def test_secrets_are_blotted_out_everywhere() -> None:
    heard: list[str] = []
    lines = LastLines(lambda stream, line: heard.append(line))
    lines.hide(["s3cr3t-key", "", "ab"])
    lines.add("stderr", "key=s3cr3t-key about")
    assert heard == list(lines.snapshot()) == ["key=[redacted] about"]


def test_more_lines_than_allowed_in_a_second_are_counted_and_the_last_are_kept() -> None:
    heard: list[str] = []
    clock = FakeClock()
    lines = LastLines(lambda stream, line: heard.append(line), per_second=3, clock=clock.monotonic)
    for number in range(10):
        lines.add("stdout", str(number))
    assert heard == ["0", "1", "2"]
    assert lines.snapshot()[-1] == "9"
    clock.advance(1)
    lines.add("stdout", "later")
    assert heard[3:] == ["7 lines were dropped: it printed more than 3 in a second", "later"]


def test_lines_dropped_at_the_end_are_told_too() -> None:
    heard: list[str] = []
    lines = LastLines(lambda stream, line: heard.append(line), per_second=1, clock=FakeClock().monotonic)
    lines.add("stdout", "a")
    lines.add("stdout", "b")
    lines.end()
    assert heard == ["a", "1 lines were dropped: it printed more than 1 in a second"]
