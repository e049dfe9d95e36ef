"""What a line goes through before it is stored: folding, redaction, cutting and numbering."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.logs.wire import LogLine, LogStream, encode

MAX_TEXT_BYTES = 64 * 1024
"""Longest text of a line; the rest is cut off and the line flagged."""

Redact = Callable[[Sequence[str]], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Lines as they are stored."""

    encoded: Sequence[bytes]
    latest: int
    """The latest time among them, in seconds since 1970."""


def prepare(lines: Sequence[LogLine], *, first_seq: int, redact: Redact, now: datetime) -> Prepared:
    """Encode lines as they are stored, numbered on from `first_seq`."""
    encoded, stamp, latest = [], Timestamp(), 0
    stamp.FromDatetime(now)
    for seq, (line, text) in enumerate(zip(lines, shown(lines, redact), strict=True), first_seq):
        line.seq = seq
        line.text, line.truncated = _fit(text, line.truncated)
        if not line.HasField("time"):
            line.time.CopyFrom(stamp)
        latest = max(latest, line.time.seconds)
        line.stream = line.stream or LogStream.LOG_STREAM_STDOUT
        line.attempt = line.attempt or 1
        encoded.append(encode(line))
    return Prepared(encoded, latest)


def shown(lines: Sequence[LogLine], redact: Redact) -> Sequence[str]:
    """Return the texts of lines as they are stored, but for the limit of their size."""
    return redact([_fold(line.text) for line in lines])


def _fold(text: str) -> str:
    """Keep what a terminal would show of a progress bar that draws over itself, and make one line of several."""
    if "\r" in text:
        text = text.rstrip("\r\n").rpartition("\r")[2]
    return text.rstrip("\n").replace("\n", " ")


def _fit(text: str, is_truncated: bool) -> tuple[str, bool]:
    # A character takes at most four bytes, so that most lines need not be encoded to be measured.
    if len(text) * 4 <= MAX_TEXT_BYTES:
        return text, is_truncated
    data = text.encode()
    if len(data) <= MAX_TEXT_BYTES:
        return text, is_truncated
    return data[:MAX_TEXT_BYTES].decode(errors="ignore"), True
