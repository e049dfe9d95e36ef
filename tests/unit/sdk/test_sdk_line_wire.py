"""Lines that are encoded many at once are, byte for byte, what a message of each would be."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connector_sdk._line_wire import encode_lines, encode_long, encode_numbered, front, numbered, time_front
from peftstudio.connector.v1.connector_service_pb2 import StreamLogsResponse
from peftstudio.job.v1.log_pb2 import LOG_LEVEL_WARNING, LOG_STREAM_STDERR, LOG_STREAM_STDOUT, LogLine

pytestmark = pytest.mark.unit

PLAIN = front("stdout", 1, 0, "")
texts = st.lists(st.text(max_size=9) | st.sampled_from(["x" * 127, "x" * 128, "é" * 100, "y" * 16_000]), max_size=9)
firsts = st.integers(1, 2**40) | st.sampled_from([1, 120, 127, 128, 16_380, 16_384, 2**21 - 2])


def encoded(lines: list[LogLine]) -> bytes:
    return StreamLogsResponse(lines=lines).SerializeToString()


@given(firsts, texts)
@example(100, [str(number) for number in range(20_000)])
def test_numbered_lines_are_encoded_as_messages_would_be(first: int, texts: list[str]) -> None:
    lines = [LogLine(seq=seq, stream=LOG_STREAM_STDOUT, attempt=1, text=text) for seq, text in enumerate(texts, first)]
    assert encode_numbered(first, PLAIN, texts) == encoded(lines)
    assert encode_lines(numbered(first, PLAIN, len(texts)), texts) == encoded(lines)
    assert b"".join(map(encode_long, numbered(first, PLAIN, len(texts)), texts)) == encoded(lines)


@given(texts, st.integers(1, 5), st.integers(0, 2**31 - 1), st.datetimes(datetime(1970, 1, 1), datetime(3000, 1, 1)))
def test_what_is_known_of_lines_is_encoded_as_messages_would_be(
    texts: list[str], attempt: int, rank: int, time: datetime
) -> None:
    known = LogLine(stream=LOG_STREAM_STDERR, attempt=attempt, rank=rank, level=LOG_LEVEL_WARNING)
    known.time.FromDatetime(time.replace(tzinfo=UTC))
    lines = [LogLine.FromString(known.SerializeToString()) for _ in texts]
    for line, text in zip(lines, texts, strict=True):
        line.text = text
    before = time_front(time) + front("stderr", attempt, rank, "warn")
    assert encode_lines([before] * len(texts), texts) == encoded(lines)


def test_what_has_no_place_in_utf_8_is_replaced() -> None:
    data = encode_lines([PLAIN], ["lone \ud800"]) + encode_numbered(1, PLAIN, ["lone \ud800"])
    assert [line.text for line in StreamLogsResponse.FromString(data).lines] == ["lone ?"] * 2
