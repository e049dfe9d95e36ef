"""What a line goes through before it is stored: folding, cutting, redaction and numbering."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from gateway.logs.wire import LogLine, LogStream, encode

MAX_TEXT_BYTES = 64 * 1024
"""Longest text of a line; the rest is cut off and the line flagged."""

MIN_SECRET_CHARS = 6
"""Shorter values are not redacted: they would blot out ordinary words."""

REDACTED = "[redacted]"

Redact = Callable[[str], str]


def redactor(secrets: Iterable[str]) -> Redact:
    """Make a function that blots out every one of these values."""
    # Longest first, so that a value that contains another is blotted out whole.
    values = sorted({secret for secret in secrets if len(secret) >= MIN_SECRET_CHARS}, key=len, reverse=True)

    def redact(text: str) -> str:
        for value in values:
            if value in text:
                text = text.replace(value, REDACTED)
        return text

    return redact


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
