"""Log lines in wire format, encoded many at once: in a fraction of the time that a message of its own takes for each.

The bytes are put together as text, in which each character (of Latin-1) is a byte: texts of ASCII need not be encoded
one by one then. What stands in front of a line's text, its `front`, is the same for most lines of a log.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType

from connector_sdk._chunk import varint
from connector_sdk._text import clean
from connector_sdk._times import to_timestamp
from peftstudio.connector.v1.connector_service_pb2 import StreamLogsResponse
from peftstudio.job.v1 import log_pb2

LONGEST_LINE_BYTES = 64 * 1024
SURELY_SHORT_CHARS = LONGEST_LINE_BYTES // 4  # a character takes at most four bytes
MOST_FRONTS = 1024  # that are kept; a training has a few for each of its processes

STREAMS = MappingProxyType(
    {
        "stdout": log_pb2.LOG_STREAM_STDOUT,
        "stderr": log_pb2.LOG_STREAM_STDERR,
        "system": log_pb2.LOG_STREAM_SYSTEM,
    }
)
LEVELS = MappingProxyType({"warn": "WARNING", "critical": "ERROR", "fatal": "ERROR", "trace": "DEBUG"})
"""Other programs' names for the contract's levels."""

_BYTES = "latin-1"
_SEVEN_BITS = 7  # of a number, in each byte of a varint
_LINE_TAG = chr(StreamLogsResponse.LINES_FIELD_NUMBER << 3 | 2)
_SEQ_TAG = chr(log_pb2.LogLine.SEQ_FIELD_NUMBER << 3)
_TEXT_TAG = chr(log_pb2.LogLine.TEXT_FIELD_NUMBER << 3 | 2)
_LOW_BYTES = tuple(chr(low | 1 << _SEVEN_BITS) for low in range(1 << _SEVEN_BITS))


@lru_cache(MOST_FRONTS)
def front(stream: str, attempt: int, rank: int, level: str) -> str:
    """Encode what is known of a line beside its text and time.

    Raises:
        ValueError: A number is too large.

    """
    line = log_pb2.LogLine(stream=STREAMS[stream], attempt=attempt, rank=rank, level=_level(level))
    return line.SerializeToString().decode(_BYTES)


def time_front(time: datetime) -> str:
    """Encode the time of a line, which stands before all else."""
    return log_pb2.LogLine(time=to_timestamp(time)).SerializeToString().decode(_BYTES)


def encode_lines(fronts: Sequence[str], texts: Sequence[str]) -> bytes:
    """Encode short lines as fields of a message; what has no place in UTF-8 is replaced."""
    texts = _as_bytes(texts)
    keys = list(zip(fronts, map(len, texts), strict=True))
    heads = {key: _head(*key) for key in set(keys)}
    return "".join([f"{heads[key]}{text}" for key, text in zip(keys, texts, strict=True)]).encode(_BYTES)


def encode_numbered(first: int, front: str, texts: Sequence[str]) -> bytes:
    """Encode short lines that are alike, numbered from `first` on, as fields of a message."""
    texts = _as_bytes(texts)
    encoded: list[str] = []
    while texts:
        width = len(_varint(first))
        run = texts[: (1 << _SEVEN_BITS * width) - first]
        behind = {size: front + _text_head(size) for size in set(map(len, run))}
        before = {size: _LINE_TAG + _varint(1 + width + len(rest) + size) + _SEQ_TAG for size, rest in behind.items()}
        numbers = _numbers(first, len(run))
        encoded += [
            f"{before[size]}{number}{behind[size]}{text}"
            for size, number, text in zip(map(len, run), numbers, run, strict=True)
        ]
        texts, first = texts[len(run) :], first + len(run)
    return "".join(encoded).encode(_BYTES)


def encode_long(front: str, text: str) -> bytes:
    """Encode a line that may be too long, as a field of a message."""
    line = log_pb2.LogLine.FromString(front.encode(_BYTES))
    data = clean(text).encode()
    line.text, line.truncated = data[:LONGEST_LINE_BYTES].decode("utf-8", "ignore"), len(data) > LONGEST_LINE_BYTES
    return StreamLogsResponse(lines=[line]).SerializeToString()


def numbered(first: int, front: str, count: int) -> Sequence[str]:
    """Put numbers from `first` on before what else is known of lines."""
    return [f"{_SEQ_TAG}{_varint(number)}{front}" for number in range(first, first + count)]


def _head(front: str, size: int) -> str:
    """Give all that stands before a text of so many bytes."""
    before = front + _text_head(size)
    return _LINE_TAG + _varint(len(before) + size) + before


def _text_head(size: int) -> str:
    return _TEXT_TAG + _varint(size) if size else ""


def _as_bytes(texts: Sequence[str]) -> Sequence[str]:
    if "".join(texts).isascii():
        return texts
    return [text.encode("utf-8", "replace").decode(_BYTES) for text in texts]


def _numbers(first: int, count: int) -> Sequence[str]:
    """Encode numbers, which take the same width."""
    last = first + count - 1
    if last < len(_LOW_BYTES):
        return [chr(number) for number in range(first, last + 1)]
    blocks = range(first >> _SEVEN_BITS, (last >> _SEVEN_BITS) + 1)
    numbers = [low + behind for behind in map(_varint, blocks) for low in _LOW_BYTES]
    skipped = first % len(_LOW_BYTES)
    return numbers[skipped : skipped + count]


def _varint(value: int) -> str:
    return varint(value).decode(_BYTES)


def _level(word: str) -> log_pb2.LogLevel.ValueType:
    if not word:
        return log_pb2.LOG_LEVEL_UNSPECIFIED
    level = f"LOG_LEVEL_{LEVELS.get(word.lower(), word.upper())}"
    is_known = level in log_pb2.LogLevel.keys()  # noqa: SIM118 - no dict
    return log_pb2.LogLevel.Value(level) if is_known else log_pb2.LOG_LEVEL_UNSPECIFIED
