"""Make messages of what an author's log yields: lines, and what the gateway needs to continue behind them.

Hundreds of thousands of items a second go through `take`: what it does for each is little, and keeps no object of the
author's that the garbage collector would have to look at.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from typing import Protocol, TypeVar

from connector_sdk._line_wire import (
    SURELY_SHORT_CHARS,
    encode_lines,
    encode_long,
    encode_numbered,
    front,
    numbered,
    time_front,
)
from connector_sdk._lines import LineFolder, decoded
from connector_sdk.connector import PlatformConnector
from connector_sdk.models import LogRecord
from peftstudio.connector.v1.connector_service_pb2 import StreamLogsResponse

ENOUGH_BYTES = 32 * 1024  # per message
MOST_BYTES = 1024 * 1024  # per message, where one record has that much
LINE_COST_BYTES = 32  # what a line costs besides its text, where it is stored

PLAIN_FIELDS = frozenset({"text", "cursor"})
PLAIN_FRONT = front("stdout", 1, 0, "")
"""Of a line of which nothing but its text is known."""

Item = TypeVar("Item")


class Reading(Protocol[Item]):
    """One reading of a job's log, which makes messages in wire format of what its author yields."""

    def open(self) -> AsyncIterator[Item] | Awaitable[AsyncIterator[Item]]:
        """Ask the author for the items."""
        ...

    def take(self, item: Item) -> int:
        """Take an item; return how many bytes wait to be sent. Raises where it cannot be written."""
        ...

    def messages(self) -> Sequence[bytes]:
        """Give what waits to be sent; there may be nothing where a line is not complete yet."""
        ...

    def rest(self, *, is_end: bool) -> Sequence[bytes]:
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
        self._is_counted = connector.log_source != "tail_only"
        """Nobody knows which line of a tail is the first that comes."""
        self._written_lines = 0

    def open(self) -> AsyncIterator[object] | Awaitable[AsyncIterator[object]]:
        """Ask the author for text; some give bytes or numbers."""
        return self._connector.stream_logs(self._job_id)

    def take(self, item: object) -> int:
        """Keep the text until there is enough of it."""
        text = item if type(item) is str else decoded(item)
        self._texts.append(text)
        self._size_bytes += len(text) + LINE_COST_BYTES
        return self._size_bytes

    def messages(self) -> Sequence[bytes]:
        """Give the lines that are complete."""
        texts, self._texts, self._size_bytes = self._texts, [], 0
        return self._written(self._folder.feed_all(texts))

    def rest(self, *, is_end: bool) -> Sequence[bytes]:
        """Give the last line, unless the stream was cut in the middle of it: the next one has it whole."""
        return self._written(self._folder.finish() if is_end or not self._folder.is_torn else [])

    def _written(self, texts: Sequence[str]) -> Sequence[bytes]:
        return [self._message(portion) for portion in _portions(texts, ENOUGH_BYTES)]

    def _message(self, texts: Sequence[str]) -> bytes:
        if not self._is_counted:
            return _encode([PLAIN_FRONT] * len(texts), texts)
        first = self._written_lines + 1
        self._written_lines += len(texts)
        if _are_short(texts):
            return encode_numbered(first, PLAIN_FRONT, texts)
        return _encode(numbered(first, PLAIN_FRONT, len(texts)), texts)


class RecordReading:
    """The reading of a log that can be continued behind any record."""

    def __init__(self, connector: PlatformConnector, job_id: str, cursor: str) -> None:
        """Read the log of a job from behind a cursor."""
        self._connector = connector
        self._job_id = job_id
        self._cursor = cursor
        """Of the last record that was taken."""
        self._full: list[bytes] = []
        self._fronts: list[str] = []
        self._texts: list[str] = []
        self._size_bytes = 0

    def open(self) -> AsyncIterator[LogRecord] | Awaitable[AsyncIterator[LogRecord]]:
        """Ask the author for records."""
        return self._connector.stream_logs_from(self._job_id, self._cursor)

    def take(self, item: LogRecord) -> int:
        """Take a record; one of many lines is torn only where it is more than a message can hold."""
        text, before = item.text, PLAIN_FRONT if item.model_fields_set <= PLAIN_FIELDS else _front(item)
        if "\n" in text or "\r" in text:
            self._add_all(before, text)
        else:
            self._fronts.append(before)
            self._texts.append(text)
            self._size_bytes += len(text) + LINE_COST_BYTES
        if item.cursor:
            self._cursor = item.cursor
        return self._size_bytes

    def messages(self) -> Sequence[bytes]:
        """Give the records."""
        if self._texts:
            self._close_message()
        messages, self._full, self._size_bytes = self._full, [], 0
        return messages

    def rest(self, *, is_end: bool) -> Sequence[bytes]:
        """Give nothing: records are complete."""
        return ()

    def _add_all(self, before: str, text: str) -> None:
        folder = LineFolder()
        for number, portion in enumerate(_portions([*folder.feed(text), *folder.finish()], MOST_BYTES)):
            if number:
                self._close_message()
            self._fronts += [before] * len(portion)
            self._texts += portion
            self._size_bytes += sum(map(len, portion)) + len(portion) * LINE_COST_BYTES

    def _close_message(self) -> None:
        rest = StreamLogsResponse(cursor=self._cursor).SerializeToString()
        self._full.append(_encode(self._fronts, self._texts) + rest)
        self._fronts, self._texts = [], []


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


def _front(record: LogRecord) -> str:
    known = front(record.stream, record.attempt, record.rank, record.level)
    return known if record.time is None else time_front(record.time) + known


def _encode(fronts: Sequence[str], texts: Sequence[str]) -> bytes:
    """Encode lines of which nearly none is long."""
    return encode_lines(fronts, texts) if _are_short(texts) else b"".join(map(encode_long, fronts, texts))


def _are_short(texts: Sequence[str]) -> bool:
    return len(max(texts, key=len)) <= SURELY_SHORT_CHARS
