"""Make messages of what an author's log yields: lines, and what the gateway needs to continue behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from itertools import count, repeat
from types import MappingProxyType
from typing import Protocol, TypeVar

from connector_sdk._lines import LineFolder, decoded
from connector_sdk._log_buffer import ENOUGH_BYTES, LINE_COST_BYTES
from connector_sdk._text import clean
from connector_sdk._times import to_timestamp
from connector_sdk.connector import PlatformConnector
from connector_sdk.models import LogRecord
from peftstudio.connector.v1.connector_service_pb2 import StreamLogsResponse
from peftstudio.job.v1 import log_pb2

LONGEST_LINE_BYTES = 64 * 1024
SURELY_SHORT_CHARS = LONGEST_LINE_BYTES // 4  # a character takes at most four bytes
MOST_BYTES = 1024 * 1024  # per message, where one record has that much

STREAMS = MappingProxyType(
    {
        "stdout": log_pb2.LOG_STREAM_STDOUT,
        "stderr": log_pb2.LOG_STREAM_STDERR,
        "system": log_pb2.LOG_STREAM_SYSTEM,
    }
)
LEVELS = {"warn": "WARNING", "critical": "ERROR", "fatal": "ERROR", "trace": "DEBUG"}
"""Other programs' names for the contract's levels."""

PLAIN = LogRecord(text="")
"""What is known of a line that is text alone."""

Item = TypeVar("Item")


class Reading(Protocol[Item]):
    """One reading of a job's log, from which messages are made a batch at a time."""

    def open(self) -> AsyncIterator[Item] | Awaitable[AsyncIterator[Item]]:
        """Ask the author for the items."""
        ...

    def text_chars(self, item: Item) -> int:
        """Measure an item; raises where it is none."""
        ...

    def messages(self, items: Sequence[Item]) -> Iterator[StreamLogsResponse]:
        """Write items; there may be no message where a line is not complete yet."""
        ...

    def rest(self, *, is_end: bool) -> Iterator[StreamLogsResponse]:
        """Write what was held back, now that nothing more comes; what is not whole only if this `is_end`."""
        ...


class TextReading:
    """The reading of a log of text alone, which cannot be continued where it was left."""

    def __init__(self, connector: PlatformConnector, job_id: str) -> None:
        """Read the log of a job."""
        self._connector = connector
        self._job_id = job_id
        self._folder = LineFolder()
        # Nobody knows which line of a tail is the first that comes.
        self._numbers = repeat(0) if connector.log_source == "tail_only" else count(1)

    def open(self) -> AsyncIterator[object] | Awaitable[AsyncIterator[object]]:
        """Ask the author for text; some give bytes or numbers."""
        return self._connector.stream_logs(self._job_id)

    def text_chars(self, item: object) -> int:
        """Measure an item."""
        return len(item) if type(item) is str else len(decoded(item))

    def messages(self, items: Sequence[object]) -> Iterator[StreamLogsResponse]:
        """Write the lines that are complete."""
        return self._written(self._folder.feed_all(items))

    def rest(self, *, is_end: bool) -> Iterator[StreamLogsResponse]:
        """Write the last line, unless the stream was cut in the middle of it: the next one has it whole."""
        return self._written(self._folder.finish() if is_end or not self._folder.is_torn else [])

    def _written(self, texts: Sequence[str]) -> Iterator[StreamLogsResponse]:
        for portion in _portions(texts, ENOUGH_BYTES):
            message = StreamLogsResponse()
            for text, number in zip(portion, self._numbers, strict=False):
                _add(message, text, seq=number)
            yield message


class RecordReading:
    """The reading of a log that can be continued behind any record."""

    def __init__(self, connector: PlatformConnector, job_id: str, cursor: str) -> None:
        """Read the log of a job from behind a cursor."""
        self._connector = connector
        self._job_id = job_id
        self._cursor = cursor

    def open(self) -> AsyncIterator[LogRecord] | Awaitable[AsyncIterator[LogRecord]]:
        """Ask the author for records."""
        return self._connector.stream_logs_from(self._job_id, self._cursor)

    def text_chars(self, item: LogRecord) -> int:
        """Measure a record."""
        return len(item.text)

    def messages(self, items: Sequence[LogRecord]) -> Iterator[StreamLogsResponse]:
        """Write records; one of many lines is torn only where it is more than a message can hold."""
        message = StreamLogsResponse()
        try:
            for record in items:
                for number, portion in enumerate(_portions(_texts(record), MOST_BYTES)):
                    if number:
                        yield message
                        message = StreamLogsResponse()
                    for text in portion:
                        _add_record(message, text, record)
                message.cursor = record.cursor or message.cursor
        except Exception:
            # What was said before is not lost with a record that cannot be written.
            if message.lines:
                yield message
            raise
        yield message

    def rest(self, *, is_end: bool) -> Iterator[StreamLogsResponse]:
        """Write nothing: records are complete."""
        return iter(())


def _texts(record: LogRecord) -> Sequence[str]:
    if "\n" not in record.text and "\r" not in record.text:
        return (record.text,)
    folder = LineFolder()
    return [*folder.feed(record.text), *folder.finish()]


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


def _add(message: StreamLogsResponse, text: str, record: LogRecord = PLAIN, seq: int = 0) -> log_pb2.LogLine:
    add, stream, attempt, rank = message.lines.add, STREAMS[record.stream], record.attempt, record.rank
    try:
        line = add(seq=seq, text=text, stream=stream, attempt=attempt, rank=rank)
    except UnicodeEncodeError:
        line = add(seq=seq, text=clean(text), stream=stream, attempt=attempt, rank=rank)
    if len(text) > SURELY_SHORT_CHARS and len(data := line.text.encode()) > LONGEST_LINE_BYTES:
        line.text, line.truncated = data[:LONGEST_LINE_BYTES].decode("utf-8", "ignore"), True
    return line


def _add_record(message: StreamLogsResponse, text: str, record: LogRecord) -> None:
    line = _add(message, text, record)
    if record.level:
        level = f"LOG_LEVEL_{LEVELS.get(record.level.lower(), record.level.upper())}"
        if level in log_pb2.LogLevel.keys():  # noqa: SIM118 - the enum itself is no container
            line.level = log_pb2.LogLevel.Value(level)
    stamp = to_timestamp(record.time)
    if stamp is not None:
        line.time.CopyFrom(stamp)
