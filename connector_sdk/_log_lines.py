"""Make messages of what an author's log yields: lines, and what the gateway needs to continue behind them.

Hundreds of thousands of items a second go through `take`: what it does for each is little, and keeps no object of the
author's that the garbage collector would have to look at.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from itertools import count, repeat
from types import MappingProxyType
from typing import Protocol, TypeVar

from connector_sdk._lines import LineFolder, decoded
from connector_sdk._text import clean
from connector_sdk._times import to_timestamp
from connector_sdk.connector import PlatformConnector
from connector_sdk.models import LogRecord
from peftstudio.connector.v1.connector_service_pb2 import StreamLogsResponse
from peftstudio.job.v1 import log_pb2

LONGEST_LINE_BYTES = 64 * 1024
SURELY_SHORT_CHARS = LONGEST_LINE_BYTES // 4  # a character takes at most four bytes
ENOUGH_BYTES = 32 * 1024  # per message
MOST_BYTES = 1024 * 1024  # per message, where one record has that much
LINE_COST_BYTES = 32  # what a line costs besides its text, where it is stored

STREAMS = MappingProxyType(
    {
        "stdout": log_pb2.LOG_STREAM_STDOUT,
        "stderr": log_pb2.LOG_STREAM_STDERR,
        "system": log_pb2.LOG_STREAM_SYSTEM,
    }
)
LEVELS = {"warn": "WARNING", "critical": "ERROR", "fatal": "ERROR", "trace": "DEBUG"}
"""Other programs' names for the contract's levels."""

Item = TypeVar("Item")


class Reading(Protocol[Item]):
    """One reading of a job's log, which makes messages of what its author yields."""

    def open(self) -> AsyncIterator[Item] | Awaitable[AsyncIterator[Item]]:
        """Ask the author for the items."""
        ...

    def take(self, item: Item) -> int:
        """Take an item; return how many bytes wait to be sent. Raises where it cannot be written."""
        ...

    def messages(self) -> Sequence[StreamLogsResponse]:
        """Give what waits to be sent; there may be nothing where a line is not complete yet."""
        ...

    def rest(self, *, is_end: bool) -> Sequence[StreamLogsResponse]:
        """Give what was held back, now that nothing more comes; what is not whole only if this `is_end`."""
        ...


class TextReading:
    """The reading of a log of text alone, which cannot be continued where it was left."""

    def __init__(self, connector: PlatformConnector, job_id: str) -> None:
        """Read the log of a job."""
        self._connector = connector
        self._job_id = job_id
        self._texts: list[str] = []
        self._size_bytes = 0
        self._folder = LineFolder()
        # Nobody knows which line of a tail is the first that comes.
        self._numbers = repeat(0) if connector.log_source == "tail_only" else count(1)

    def open(self) -> AsyncIterator[object] | Awaitable[AsyncIterator[object]]:
        """Ask the author for text; some give bytes or numbers."""
        return self._connector.stream_logs(self._job_id)

    def take(self, item: object) -> int:
        """Keep the text until there is enough of it."""
        text = item if type(item) is str else decoded(item)
        self._texts.append(text)
        self._size_bytes += len(text) + LINE_COST_BYTES
        return self._size_bytes

    def messages(self) -> Sequence[StreamLogsResponse]:
        """Give the lines that are complete."""
        texts, self._texts, self._size_bytes = self._texts, [], 0
        return self._written(self._folder.feed_all(texts))

    def rest(self, *, is_end: bool) -> Sequence[StreamLogsResponse]:
        """Give the last line, unless the stream was cut in the middle of it: the next one has it whole."""
        return self._written(self._folder.finish() if is_end or not self._folder.is_torn else [])

    def _written(self, texts: Sequence[str]) -> Sequence[StreamLogsResponse]:
        return [self._message(portion) for portion in _portions(texts, ENOUGH_BYTES)]

    def _message(self, texts: Sequence[str]) -> StreamLogsResponse:
        message = StreamLogsResponse()
        add = message.lines.add
        for text, seq in zip(texts, self._numbers, strict=False):
            line = add()
            line.seq, line.stream, line.attempt = seq, log_pb2.LOG_STREAM_STDOUT, 1
            _write(line, text)
        return message


class RecordReading:
    """The reading of a log that can be continued behind any record."""

    def __init__(self, connector: PlatformConnector, job_id: str, cursor: str) -> None:
        """Read the log of a job from behind a cursor."""
        self._connector = connector
        self._job_id = job_id
        self._cursor = cursor
        """Of the last record that was taken."""
        self._full: list[StreamLogsResponse] = []
        self._message = StreamLogsResponse()
        self._add_line = self._message.lines.add
        self._size_bytes = 0

    def open(self) -> AsyncIterator[LogRecord] | Awaitable[AsyncIterator[LogRecord]]:
        """Ask the author for records."""
        return self._connector.stream_logs_from(self._job_id, self._cursor)

    def take(self, item: LogRecord) -> int:
        """Write a record; one of many lines is torn only where it is more than a message can hold."""
        text = item.text
        if "\n" in text or "\r" in text:
            self._add_all(item)
        else:
            self._add(text, item)
        if item.cursor:
            self._cursor = item.cursor
        return self._size_bytes

    def messages(self) -> Sequence[StreamLogsResponse]:
        """Give the records."""
        if self._message.lines:
            self._close_message()
        messages, self._full, self._size_bytes = self._full, [], 0
        return messages

    def rest(self, *, is_end: bool) -> Sequence[StreamLogsResponse]:
        """Give nothing: records are complete."""
        return ()

    def _add_all(self, record: LogRecord) -> None:
        folder = LineFolder()
        first, *others = _portions([*folder.feed(record.text), *folder.finish()], MOST_BYTES)
        for text in first:
            self._add(text, record)
        for portion in others:
            self._close_message()
            for text in portion:
                self._add(text, record)

    def _add(self, text: str, record: LogRecord) -> None:
        # To set fields takes half of the time that it takes to pass them to `add`.
        line = self._add_line()
        try:
            line.stream, line.attempt = STREAMS[record.stream], record.attempt
            if record.rank:
                line.rank = record.rank
        except ValueError:
            del self._message.lines[-1]
            raise
        if record.level:
            line.level = _level(record.level)
        if record.time is not None and (stamp := to_timestamp(record.time)):
            line.time.CopyFrom(stamp)
        _write(line, text)
        self._size_bytes += len(text) + LINE_COST_BYTES

    def _close_message(self) -> None:
        self._message.cursor = self._cursor
        self._full.append(self._message)
        self._message = StreamLogsResponse()
        self._add_line = self._message.lines.add


def _portions(texts: Sequence[str], enough_bytes: int) -> Iterator[Sequence[str]]:
    """Cut lines into runs, of which each but the last has enough for a message."""
    start = size_bytes = 0
    for end, text in enumerate(texts, 1):
        size_bytes += len(text) + LINE_COST_BYTES
        if size_bytes >= enough_bytes:
            yield texts[start:end]
            start, size_bytes = end, 0
    if start < len(texts):
        yield texts[start:]


def _write(line: log_pb2.LogLine, text: str) -> None:
    try:
        line.text = text
    except UnicodeEncodeError:
        line.text = clean(text)
    if len(text) > SURELY_SHORT_CHARS and len(data := line.text.encode()) > LONGEST_LINE_BYTES:
        line.text, line.truncated = data[:LONGEST_LINE_BYTES].decode("utf-8", "ignore"), True


def _level(word: str) -> log_pb2.LogLevel.ValueType:
    level = f"LOG_LEVEL_{LEVELS.get(word.lower(), word.upper())}"
    # The enum itself is no container.
    return log_pb2.LogLevel.Value(level) if level in log_pb2.LogLevel.keys() else log_pb2.LOG_LEVEL_UNSPECIFIED  # noqa: SIM118
