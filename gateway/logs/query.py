"""Which lines of a log a follower wants, and from where."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import re2
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.errors import InvalidRequest
from gateway.logs.segment import Segment
from gateway.logs.wire import LogFilter, LogLine, lines

Wanted = Callable[[LogLine], bool]


class Start(Protocol):
    """Where a follower starts."""

    async def after_seq(self, segment: Segment) -> int:
        """Return the line behind which the follower starts."""
        ...


@dataclass(frozen=True, slots=True)
class After:
    """Start behind a line."""

    seq: int = 0

    async def after_seq(self, segment: Segment) -> int:
        """Return the line itself."""
        return self.seq


@dataclass(frozen=True, slots=True)
class Tail:
    """Start at the last so many lines."""

    count: int

    async def after_seq(self, segment: Segment) -> int:
        """Count back from the end."""
        return max(0, segment.mark.last_seq - self.count)


@dataclass(frozen=True, slots=True)
class Since:
    """Start at the first line that is not older than this."""

    time: datetime

    async def after_seq(self, segment: Segment) -> int:
        """Look through the log from its beginning."""
        first = Timestamp()
        first.FromDatetime(self.time)
        # Numbers, because a platform may send a time that no calendar has.
        wanted = first.seconds, first.nanos
        position = 0
        while data := segment.read(position)[0]:
            for line in lines(data):
                if (line.time.seconds, line.time.nanos) >= wanted:
                    return line.seq - 1
            position += len(data)
            # A long log takes seconds; everybody else has a turn in between.
            await asyncio.sleep(0)
        return segment.mark.last_seq


def compile_filter(wish: LogFilter) -> Wanted | None:
    """Make a predicate of a filter; None = every line is wanted.

    Raises:
        InvalidRequest: The regular expression is none.

    """
    tests: list[Wanted] = []
    if wish.streams:
        streams = frozenset(wish.streams)
        tests.append(lambda line: line.stream in streams)
    if wish.ranks:
        ranks = frozenset(wish.ranks)
        tests.append(lambda line: line.rank in ranks)
    if wish.min_level:
        tests.append(lambda line: not line.level or line.level >= wish.min_level)
    if wish.contains:
        tests.append(lambda line: wish.contains in line.text)
    if wish.regex:
        tests.append(_search(wish.regex))
    if not tests:
        return None
    return lambda line: all(test(line) for test in tests)


def _search(pattern: str) -> Wanted:
    # RE2 needs time linear in the text, whatever the pattern: one client cannot stall the others.
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        raise InvalidRequest.of("filter.regex", f"is not a regular expression in RE2 syntax: {error}") from error
    return lambda line: compiled.search(line.text) is not None
