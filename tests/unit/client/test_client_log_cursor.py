"""The cursor of a log, without any connection."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.log_cursor import LogCursor, LogStart
from peftstudio.gateway.v1.jobs_service_pb2 import LogEnd, StreamLogsResponse
from peftstudio.job.v1.job_state_pb2 import JOB_STATE_FAILED
from peftstudio.job.v1.log_pb2 import LOG_STREAM_SYSTEM, LogGap, LogLine

pytestmark = pytest.mark.unit


def _cursor(start: LogStart | None = None) -> LogCursor:
    return LogCursor("j", start or LogStart(), follow=True)


def _lines(first: int, last: int) -> list[LogLine]:
    return [LogLine(seq=seq, text=str(seq)) for seq in range(first, last + 1)]


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(1, 5)), max_size=30))
def test_answers_that_overlap_in_any_way_give_each_line_once(steps: list[tuple[int, int]]) -> None:
    cursor, sent, seen = _cursor(), 0, []
    for back, count in steps:
        first = max(1, sent + 1 - back)
        last = first + count - 1
        sent = max(sent, last)
        response = StreamLogsResponse(lines=_lines(first, last), next_after_seq=last)
        seen += [line.seq for line in cursor.accept(response)]

    assert seen == list(range(1, sent + 1))


def test_the_first_request_begins_where_it_was_asked_and_the_next_behind_what_came() -> None:
    since = datetime(2030, 1, 1, tzinfo=UTC)
    assert _cursor().request().WhichOneof("start") is None
    assert _cursor(LogStart(tail=0)).request().WhichOneof("start") == "tail"
    assert _cursor(LogStart(from_end=True)).request().from_end
    cursor = _cursor(LogStart(since=since))
    assert cursor.request().since.ToDatetime(UTC) == since

    list(cursor.accept(StreamLogsResponse(lines=_lines(7, 9), next_after_seq=12)))

    assert cursor.request().after_seq == 12


def test_a_sign_of_life_in_an_empty_log_does_not_turn_the_tail_into_everything() -> None:
    cursor = _cursor(LogStart(tail=5))

    assert list(cursor.accept(StreamLogsResponse(heartbeat=True))) == []
    assert cursor.request().tail == 5


def test_two_beginnings_are_refused() -> None:
    with pytest.raises(ValueError, match="at most one"):
        LogStart(after_seq=0, tail=3)


def test_a_gap_stands_where_the_lines_are_missing() -> None:
    response = StreamLogsResponse(lines=_lines(6, 7), gap=LogGap(from_seq=3, to_seq=5, why="pruned"), next_after_seq=7)

    lines = list(_cursor(LogStart(after_seq=2)).accept(response))

    assert [line.seq for line in lines] == [5, 6, 7]
    assert lines[0].stream == LOG_STREAM_SYSTEM


def test_a_gap_of_unknown_size_stands_in_front_of_its_line_and_comes_once() -> None:
    cursor = _cursor()
    gap = LogGap(from_seq=3, why="not read")
    first = list(cursor.accept(StreamLogsResponse(lines=_lines(1, 2), next_after_seq=2)))
    cut = list(cursor.accept(StreamLogsResponse(lines=_lines(3, 3), gap=gap, next_after_seq=3)))
    again = list(cursor.accept(StreamLogsResponse(lines=_lines(3, 4), gap=gap, next_after_seq=4)))

    texts = [line.text for line in (*first, *cut, *again)]

    assert texts == ["1", "2", "lines are missing here: not read", "3", "4"]


def test_a_gap_whose_lines_are_all_filtered_out_comes_once() -> None:
    cursor = _cursor()
    message = StreamLogsResponse(gap=LogGap(from_seq=1, why="not read"), next_after_seq=9)

    assert len(list(cursor.accept(message))) == 1
    assert list(cursor.accept(message)) == []


def test_a_gap_behind_the_last_line_is_told_with_the_end() -> None:
    cursor = _cursor(LogStart(after_seq=5))
    end = LogEnd(final_state=JOB_STATE_FAILED, last_seq=5, complete=True)
    message = StreamLogsResponse(gap=LogGap(from_seq=6, why="not read"), end=end, next_after_seq=5)

    assert [line.text for line in cursor.accept(message)] == ["lines are missing here: not read"]


def test_a_log_that_ends_incomplete_says_so() -> None:
    end = LogEnd(final_state=JOB_STATE_FAILED, last_seq=2, complete=False)

    [line] = _cursor().accept(StreamLogsResponse(end=end, next_after_seq=2))

    assert "may be missing" in line.text
