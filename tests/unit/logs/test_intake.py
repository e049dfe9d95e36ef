"""What lines go through before they are stored, a batch at a time: just what each would go through alone."""

from __future__ import annotations

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.logs.intake import MAX_TEXT_BYTES, prepare
from gateway.logs.wire import MESSAGE_BYTES, LogLine, LogStream, StreamLogsResponse, encode_all, lines
from gateway.plugins.remote_logs import batch_of
from gateway.redaction import Redactor
from peftstudio.connector.v1 import connector_service_pb2 as connector
from tests.support.clocks import NOON

pytestmark = pytest.mark.unit

SECRET = "canary-8d1f2"
odd = st.sampled_from(
    ["", "\r", "\n", "\r\n", " 10%\r 50%\r", "a\nb", "é" * 40_000, SECRET, f"k={SECRET}\n", SECRET[:8], SECRET[-8:]]
)
texts = st.one_of(st.text(max_size=60), st.builds("".join, st.lists(odd | st.text(max_size=9), max_size=4)))
sent = st.lists(
    st.builds(
        LogLine,
        text=texts,
        seq=st.integers(0, 2**63),
        time=st.none() | st.builds(Timestamp, seconds=st.integers(-5, 2**40), nanos=st.integers(0, 10**9 - 1)),
        stream=st.integers(0, 3),
        attempt=st.integers(0, 3),
        rank=st.integers(0, 3),
        level=st.integers(0, 5),
        truncated=st.booleans(),
    ),
    max_size=12,
)


def alone(line: LogLine, seq: int) -> LogLine:
    """Do to one line what is to be done, step by step."""
    text = line.text
    if "\r" in text:
        text = text.rstrip("\r\n").rpartition("\r")[2]
    text = text.rstrip("\n").replace("\n", " ")
    text = Redactor([SECRET]).text(text)
    kept = LogLine()
    kept.CopyFrom(line)
    kept.seq = seq
    kept.text = text.encode()[:MAX_TEXT_BYTES].decode(errors="ignore")
    kept.truncated = line.truncated or kept.text != text
    if not line.HasField("time"):
        kept.time.FromDatetime(NOON)
    kept.stream = line.stream or LogStream.LOG_STREAM_STDOUT
    kept.attempt = line.attempt or 1
    return kept


@given(sent, st.integers(1, 2**40))
@example([LogLine(text=f"line {number}") for number in range(2000)], 1)
def test_a_batch_is_stored_as_its_lines_would_be_one_by_one(batch: list[LogLine], first_seq: int) -> None:
    expected = [alone(line, seq) for seq, line in enumerate(batch, first_seq)]
    prepared = prepare(batch, first_seq=first_seq, redact=Redactor([SECRET]), now=NOON)
    assert [line for stretch in prepared.encoded for line in lines(stretch.data)] == expected
    assert all(len(list(lines(stretch.data))) == stretch.count for stretch in prepared.encoded)
    assert all(len(stretch.data) <= MESSAGE_BYTES for stretch in prepared.encoded if stretch.count > 1)
    assert prepared.latest == max([0, *(line.time.seconds for line in expected)])


@given(
    st.lists(texts, min_size=1, max_size=12),
    st.builds(LogLine, stream=st.integers(0, 3), attempt=st.integers(0, 2), rank=st.integers(0, 200)),
    st.none() | st.integers(1, 2**40),
    st.sampled_from([0, 1, 125, 16_380]),
    st.sampled_from([1, 120, 16_380, 2**21 - 5]),
)
@example(["x" * 100] * 1000, LogLine(), None, 0, 1)
@example(["é" * 100] * 1000, LogLine(), 5, 100, 100)
def test_lines_that_are_alike_are_stored_as_they_would_be_one_by_one(
    sent_texts: list[str], common: LogLine, seconds: int | None, source_seq: int, first_seq: int
) -> None:
    if seconds is not None:
        common.time.seconds = seconds
    batch = []
    for number, text in enumerate(sent_texts):
        line = LogLine.FromString(common.SerializeToString())
        line.seq, line.text = source_seq and source_seq + number, text
        batch.append(line)
    expected = [alone(line, seq) for seq, line in enumerate(batch, first_seq)]
    prepared = prepare(batch, first_seq=first_seq, redact=Redactor([SECRET]), now=NOON)
    assert b"".join(stretch.data for stretch in prepared.encoded) == encode_all(expected)
    assert sum(stretch.count for stretch in prepared.encoded) == len(batch)
    assert all(len(stretch.data) <= MESSAGE_BYTES for stretch in prepared.encoded if stretch.count > 1)
    assert prepared.latest == max(line.time.seconds for line in expected)


@given(sent, st.text(max_size=9), st.booleans())
def test_a_connectors_message_is_stored_as_copies_of_its_lines_would_be(
    batch: list[LogLine], cursor: str, is_end: bool
) -> None:
    received = batch_of(connector.StreamLogsResponse(lines=batch, cursor=cursor, end=is_end))
    assert (received.cursor, received.is_end) == (cursor, is_end)
    directly = prepare(
        received.lines, first_seq=7, redact=Redactor([SECRET]), now=NOON, encode_together=received.encode
    )
    assert directly == prepare(batch, first_seq=7, redact=Redactor([SECRET]), now=NOON)


def test_what_a_newer_connector_says_besides_its_lines_is_not_stored() -> None:
    newer = connector.StreamLogsResponse.FromString(
        connector.StreamLogsResponse(lines=[LogLine(text="line")]).SerializeToString() + b"\x78\x05"
    )
    received = batch_of(newer)
    prepared = prepare(received.lines, first_seq=1, redact=Redactor(), now=NOON, encode_together=received.encode)
    (stretch,) = prepared.encoded
    assert stretch.data == StreamLogsResponse(lines=lines(stretch.data)).SerializeToString()
