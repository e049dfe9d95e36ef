"""What a line goes through before it is stored: folding, cutting, redaction and numbering."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from gateway.logs.wire import LogLine, LogStream, encode
from gateway.redaction import Redact

MAX_TEXT_BYTES = 64 * 1024
"""Longest text of a line; the rest is cut off and the line flagged."""


def prepare(lines: Iterable[LogLine], *, first_seq: int, redact: Redact, now: datetime) -> Iterator[bytes]:
    """Encode lines as they are stored, numbered on from `first_seq`."""
    for seq, line in enumerate(lines, first_seq):
        line.seq = seq
        line.text, line.truncated = _fit(redact(_fold(line.text)), line.truncated)
        if not line.HasField("time"):
            line.time.FromDatetime(now)
        line.stream = line.stream or LogStream.LOG_STREAM_STDOUT
        line.attempt = line.attempt or 1
        yield encode(line)


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
