"""What lines go through before they are stored: folding, redaction, cutting and numbering.

All of it is looked up for a batch at once, and done only to lines that need it: almost none do. Lines that are alike
but for number and text are not even touched: they are encoded anew out of their texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.logs.alike import encode_alike
from gateway.logs.wire import MESSAGE_BYTES, LogLine, LogStream, Stretch, encode, encode_all

MAX_TEXT_BYTES = 64 * 1024
"""Longest text of a line; the rest is cut off and the line flagged."""

SURELY_SHORT_CHARS = MAX_TEXT_BYTES // 4
"""A character takes at most four bytes, so that most lines need not be encoded to be measured."""

RedactLines = Callable[[Sequence[str]], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Lines as they are stored."""

    encoded: Sequence[Stretch]
    latest: int
    """The latest time among them, in seconds since 1970."""


def prepare(
    lines: Sequence[LogLine],
    *,
    first_seq: int,
    redact: RedactLines,
    now: datetime,
    texts: Sequence[str] | None = None,
    encode_together: Callable[[], bytes] | None = None,
) -> Prepared:
    """Encode lines as they are stored, numbered on from `first_seq`; their `texts` may be known already."""
    if not lines:
        return Prepared([], 0)
    if texts is None:
        texts = [line.text for line in lines]
    kept = shown(texts, redact)
    are_short = len(max(texts, key=len)) <= SURELY_SHORT_CHARS
    if are_short and _are_alike(lines, texts, encode_together):
        common = LogLine()
        common.CopyFrom(lines[0])
        latest = _complete([common], first_seq, now)
        return Prepared(list(_stretches(kept, first_seq, common)), latest)
    if kept is not texts or not are_short:
        for line, text in zip(lines, kept, strict=True):
            line.text, line.truncated = _fit(text, line.truncated)
    latest = _complete(lines, first_seq, now)
    data = encode_together() if encode_together else encode_all(lines)
    if len(data) <= MESSAGE_BYTES:
        return Prepared([Stretch(data, len(lines))], latest)
    return Prepared([Stretch(encode(line), 1) for line in lines], latest)


def _are_alike(lines: Sequence[LogLine], texts: Sequence[str], encode_together: Callable[[], bytes] | None) -> bool:
    """Tell whether lines differ in nothing but number and text: then that they do is all that was sent."""
    sent = encode_together() if encode_together else encode_all(lines)
    return encode_alike(texts, lines[0].seq, lines[0]) == sent


def _stretches(texts: Sequence[str], first_seq: int, common: LogLine) -> Iterator[Stretch]:
    data = encode_alike(texts, first_seq, common)
    if len(data) <= MESSAGE_BYTES or len(texts) == 1:
        yield Stretch(data, len(texts))
        return
    # Nearly as many as fit, were all of one length; where they are not, some are cut once more.
    count = max(1, len(texts) * (MESSAGE_BYTES - MESSAGE_BYTES // 64) // len(data))
    for start in range(0, len(texts), count):
        yield from _stretches(texts[start : start + count], first_seq + start, common)


def shown(texts: Sequence[str], redact: RedactLines) -> Sequence[str]:
    """Return the texts of lines as they are stored, but for the limit of their size."""
    joined = "\n".join(texts)
    if "\r" in joined or joined.count("\n") >= len(texts):
        texts = [_fold(text) for text in texts]
    return redact(texts)


def _complete(lines: Sequence[LogLine], first_seq: int, now: datetime) -> int:
    """Number lines, say what their source left open, and return the latest time."""
    stamped = LogLine()
    stamped.time.FromDatetime(now)
    latest, stamp = 0, stamped.SerializeToString()
    for seq, line in enumerate(lines, first_seq):
        line.seq = seq
        if line.HasField("time"):
            latest = max(latest, line.time.seconds)
        else:
            # Half of what CopyFrom takes.
            line.MergeFromString(stamp)
            latest = max(latest, stamped.time.seconds)
        if not line.stream:
            line.stream = LogStream.LOG_STREAM_STDOUT
        if not line.attempt:
            line.attempt = 1
    return latest


def _fold(text: str) -> str:
    """Keep what a terminal would show of a progress bar that draws over itself, and make one line of several."""
    if "\r" in text:
        text = text.rstrip("\r\n").rpartition("\r")[2]
    return text.rstrip("\n").replace("\n", " ")


def _fit(text: str, is_truncated: bool) -> tuple[str, bool]:
    if len(text) <= SURELY_SHORT_CHARS:
        return text, is_truncated
    data = text.encode()
    if len(data) <= MAX_TEXT_BYTES:
        return text, is_truncated
    return data[:MAX_TEXT_BYTES].decode(errors="ignore"), True
