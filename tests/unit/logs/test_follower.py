"""A client's way through a log with gaps, by its cursor and with filters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.client.log_cursor import LogCursor, LogStart
from gateway.errors import BadOffset, InvalidRequest
from gateway.jobs.model import JobState
from gateway.logs.follower import Follower, Part
from gateway.logs.intake import prepare
from gateway.logs.place import Place
from gateway.logs.query import MAX_CHOICES, MAX_PATTERN_CHARS, After, Tail, Wanted, compile_filter
from gateway.logs.store import Ending, JobLog, LogStore
from gateway.logs.wire import LogFilter, LogLine, LogStream, StreamLogsResponse, encode_gap
from gateway.redaction import Redactor
from peftstudio.job.v1.job_state_pb2 import JOB_STATE_SUCCEEDED
from peftstudio.job.v1.log_pb2 import LOG_LEVEL_DEBUG, LOG_LEVEL_ERROR, LOG_LEVEL_WARNING
from tests.support.clocks import NOON
from tests.unit.logs.test_collector import unknown

pytestmark = pytest.mark.unit


def write(log: JobLog, lines: Sequence[LogLine], gap: str = "") -> None:
    first = log.segments.mark.last_seq + 1
    prepared = prepare(lines, first_seq=first, redact=Redactor(), now=NOON)
    head = encode_gap(first, 0, gap) if gap else b""
    log.segments.append(prepared.encoded, Place(source_lines=first), latest=prepared.latest, gap=head)


def message_of(part: Part) -> StreamLogsResponse:
    message = StreamLogsResponse.FromString(part.data)
    message.next_after_seq = part.next_after_seq
    if part.is_last:
        message.end.complete = True
        message.end.final_state = JOB_STATE_SUCCEEDED
    return message


async def read(log: JobLog, cursor: LogCursor, wanted: Wanted | None, cuts: list[int]) -> list[str]:
    """Read a log to its end by a client's cursor, cut after so many messages each time."""
    found: list[str] = []
    while True:
        request = cursor.request()
        start = Tail(request.tail) if request.WhichOneof("start") == "tail" else After(request.after_seq)
        left = cuts.pop(0) if cuts else -1
        async for part in Follower(log, start, wanted, unknown).follow():
            if not left:
                break
            left -= 1
            found += [line.text for line in cursor.accept(message_of(part))]
            if part.is_last:
                return found


batches = st.lists(st.tuples(st.integers(1, 12), st.booleans(), st.booleans()), max_size=12)


@settings(deadline=None, max_examples=100)
@given(batches, st.booleans(), st.lists(st.integers(0, 4), max_size=12), st.integers(0, 4), st.integers(0, 200))
async def test_every_gap_comes_once_and_in_its_place_through_any_cuts_and_filters(
    plan: list[tuple[int, bool, bool]], at_end: bool, cuts: list[int], modulus: int, tail: int
) -> None:
    with TemporaryDirectory() as name, LogStore(Path(name)).open("job") as log:
        whole: list[tuple[int, str]] = []
        for count, has_gap, is_large in plan:
            seq = log.segments.mark.last_seq
            texts = [f"{number} {'x' * 9000 * is_large}" for number in range(seq + 1, seq + count + 1)]
            whole += [(seq + 1, f"lines are missing here: {seq}")] if has_gap else []
            whole += enumerate(texts, seq + 1)
            write(log, [LogLine(text=text, rank=int(text.split()[0])) for text in texts], str(seq) if has_gap else "")
        log.gap = "at the end" if at_end else ""
        log.finish(Ending(JobState.SUCCEEDED, is_complete=True))
        last = log.segments.mark.last_seq
        ranks = [number for number in range(last + 1) if number % 5 == modulus] or [0]
        wish = LogFilter(ranks=ranks)
        cursor = LogCursor("job", LogStart(tail=tail), follow=True)
        found = await read(log, cursor, compile_filter(wish), cuts)
        wanted = [text for seq, text in whole if seq > last - tail and (text[0] == "l" or seq in ranks)]
        assert found == wanted + (["lines are missing here: at the end"] if at_end else [])


async def test_who_wants_no_line_is_told_how_far_he_is_every_half_mebibyte(tmp_path: Path) -> None:
    with LogStore(tmp_path).open("job") as log:
        for _ in range(20):
            write(log, [LogLine(text="x" * 1000)] * 200)
        wanted = compile_filter(LogFilter(contains="nothing like it"))
        parts = [part async for part in Follower(log, After(), wanted, unknown).read()]
        assert not any(part.data for part in parts)
        seqs = [part.next_after_seq for part in parts]
        assert seqs == sorted(set(seqs[:-1])) + seqs[-1:]
        assert seqs[-1] == 4000
        assert 5 <= len(seqs) <= 20


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        (LogFilter(streams=[LogStream.LOG_STREAM_STDERR]), [2, 4]),
        (LogFilter(ranks=[1, 2]), [2, 3]),
        (LogFilter(min_level=LOG_LEVEL_WARNING), [1, 3, 4]),
        (LogFilter(contains="los"), [1, 3]),
        (LogFilter(regex=r"^loss\s=\s\d"), [3]),
        (LogFilter(streams=[LogStream.LOG_STREAM_STDERR], regex="b"), [4]),
    ],
)
async def test_what_is_wanted_must_hold_together(tmp_path: Path, wish: LogFilter, expected: list[int]) -> None:
    with LogStore(tmp_path).open("job") as log:
        stderr = LogStream.LOG_STREAM_STDERR
        write(
            log,
            [
                LogLine(text="a loss"),
                LogLine(text="c", stream=stderr, rank=1, level=LOG_LEVEL_DEBUG),
                LogLine(text="loss = 1", rank=2, level=LOG_LEVEL_WARNING),
                LogLine(text="b", stream=stderr, level=LOG_LEVEL_ERROR),
            ],
        )
        parts = [part async for part in Follower(log, After(), compile_filter(wish), unknown).read()]
        assert [line.seq for part in parts for line in message_of(part).lines] == expected
        assert parts[-1].next_after_seq == 4


@pytest.mark.parametrize(
    "wish",
    [
        LogFilter(regex="x" * (MAX_PATTERN_CHARS + 1)),
        LogFilter(contains="x" * (MAX_PATTERN_CHARS + 1)),
        LogFilter(ranks=range(MAX_CHOICES + 1)),
        LogFilter(regex="(a{1000}){1000}"),
        LogFilter(regex="(unclosed"),
        LogFilter(regex=r"(a)\1"),
    ],
)
def test_a_filter_that_would_cost_too_much_or_is_none_is_refused(wish: LogFilter) -> None:
    with pytest.raises(InvalidRequest, match=r"filter\."):
        compile_filter(wish)


def test_no_pattern_takes_more_time_than_its_text_is_long() -> None:
    wanted = compile_filter(LogFilter(regex="(a*)*b" * 20))
    assert wanted is not None
    assert not wanted(LogLine(text="a" * 60_000))


async def test_a_start_behind_the_end_is_an_error_and_one_in_what_was_deleted_a_gap(tmp_path: Path) -> None:
    with LogStore(tmp_path, max_bytes=16_000).open("job") as log:
        for _ in range(50):
            write(log, [LogLine(text="x" * 1000)])
        with pytest.raises(BadOffset, match="the log has 50 lines"):
            await anext(Follower(log, After(51), None, unknown).read())
        first = message_of(await anext(Follower(log, After(3), None, unknown).read()))
        assert (first.gap.from_seq, first.gap.to_seq) == (4, log.segments.kept_after)
        assert first.next_after_seq == log.segments.kept_after
        assert "limits" in first.gap.why


async def test_a_gap_at_the_end_of_a_log_is_still_known_after_a_restart(tmp_path: Path) -> None:
    with LogStore(tmp_path).open("job") as log:
        write(log, [LogLine(text="one")])
        log.gap = "nobody listened"
        log.finish(Ending(JobState.FAILED, is_complete=True))
    with LogStore(tmp_path).open("job") as log:
        cursor = LogCursor("job", LogStart(), follow=True)
        assert await read(log, cursor, None, []) == ["one", "lines are missing here: nobody listened"]


async def test_many_small_batches_cost_no_memory_each(tmp_path: Path) -> None:
    with LogStore(tmp_path).open("job") as log:
        for number in range(3000):
            write(log, [LogLine(text=f"{number}")])
        parts = [part async for part in Follower(log, After(1234), None, unknown).read()]
        assert [line.seq for part in parts for line in message_of(part).lines] == list(range(1235, 3001))
        assert len(parts) < 10
