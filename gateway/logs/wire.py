"""The wire format of log lines, which is also the format on disk.

A segment file is a serialized `StreamLogsResponse` with nothing but `lines`, and a `gap` in front of a line that does
not follow the one before: each is stored as the field's tag, its length and the encoded message. Any run of whole lines
cut out of it is such a message again, so that a follower costs a read and a write and no encoding. This is the one
module of `gateway.logs` that knows the generated classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gateway.wire.fields import read_varint, varint
from peftstudio.gateway.v1.jobs_service_pb2 import StreamLogsResponse
from peftstudio.job.v1.log_pb2 import LogFilter, LogGap, LogLine, LogStream

__all__ = [
    "MESSAGE_BYTES",
    "LogFilter",
    "LogGap",
    "LogLine",
    "LogStream",
    "StreamLogsResponse",
    "Stretch",
    "encode",
    "encode_all",
    "encode_gap",
    "frames",
    "gap_bytes",
    "is_line",
    "lines",
    "with_next",
]

MESSAGE_BYTES = 32 * 1024
"""Bytes per message to a follower, as the contract says; a single line may be longer."""

_TAG = bytes([StreamLogsResponse.LINES_FIELD_NUMBER << 3 | 2])
_NEXT_TAG = bytes([StreamLogsResponse.NEXT_AFTER_SEQ_FIELD_NUMBER << 3])
_GAP_TAG = bytes([StreamLogsResponse.GAP_FIELD_NUMBER << 3 | 2])


@dataclass(frozen=True, slots=True)
class Stretch:
    """Lines as they are stored and sent, no more than one message holds."""

    data: bytes
    count: int


def encode(line: LogLine) -> bytes:
    """Encode one line as it is stored and sent."""
    body = line.SerializeToString()
    return _TAG + varint(len(body)) + body


def encode_all(lines: Iterable[LogLine]) -> bytes:
    """Encode lines as they are stored and sent, in a fraction of the time that they take one by one."""
    return StreamLogsResponse(lines=lines).SerializeToString()


def encode_gap(from_seq: int, to_seq: int, why: str) -> bytes:
    """Encode a gap as it is stored and sent."""
    body = LogGap(from_seq=from_seq, to_seq=to_seq, why=why).SerializeToString()
    return _GAP_TAG + varint(len(body)) + body


def with_next(data: bytes, next_after_seq: int) -> bytes:
    """Make encoded lines a whole message, which says how to continue behind it."""
    return data + _NEXT_TAG + varint(next_after_seq)


def gap_bytes(data: bytes) -> bytes:
    """Return the gap that stored bytes begin with, as it is stored; empty = they begin with none."""
    return data[: next(frames(data))[2]] if data[:1] == _GAP_TAG else b""


def is_line(data: bytes, start: int) -> bool:
    """Tell whether what starts there is a line."""
    return data[start] == _TAG[0]


def frames(data: bytes | memoryview) -> Iterator[tuple[int, int, int]]:
    """Yield (start, body start, end) of every whole line in stored bytes; a torn one at the end is left out."""
    view = memoryview(data)
    start = 0
    while start < len(view):
        size, body = read_varint(view, start + 1)
        if body == 0 or body + size > len(view):
            return
        yield start, body, body + size
        start = body + size


def lines(data: bytes | memoryview) -> Iterable[LogLine]:
    """Decode all lines in stored bytes."""
    return StreamLogsResponse.FromString(bytes(data)).lines
