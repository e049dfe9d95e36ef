"""Which lines of a log a follower wants, and from where."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.errors import InvalidRequest, Violation
from gateway.logs.segments import Segments
from gateway.logs.wire import LogFilter, LogLine, lines

Wanted = Callable[[LogLine], bool]

MAX_PATTERN_CHARS = 1000
"""Longest text or regular expression that is looked for: what a line is compared with must not cost more than lines."""

MAX_PATTERN_MEMORY = 1024**2
"""Bytes for one compiled regular expression, of which each follower has its own."""

MAX_CHOICES = 1000
"""Streams and ranks of one filter."""


class Start(Protocol):
    """Where a follower starts."""

    async def after_seq(self, segments: Segments) -> int:
        """Return the line behind which the follower starts."""
        ...


@dataclass(frozen=True, slots=True)
class After:
    """Start behind a line."""

    seq: int = 0

    async def after_seq(self, segments: Segments) -> int:
        """Return the line itself."""
        return self.seq


@dataclass(frozen=True, slots=True)
class Tail:
    """Start at the last so many lines."""

    count: int

    async def after_seq(self, segments: Segments) -> int:
        """Count back from the end."""
        return max(0, segments.mark.last_seq - self.count)


@dataclass(frozen=True, slots=True)
class Since:
    """Start at the first line that is not older than this."""

    time: datetime

    async def after_seq(self, segments: Segments) -> int:
        """Look through the log from where its lines may be as young."""
        first = Timestamp()
        first.FromDatetime(self.time)
        # Numbers, because a platform may send a time that no calendar has.
        wanted = first.seconds, first.nanos
        spot = None
        for spot in segments.locate_time(first.seconds):
            if spot is None:
                await asyncio.sleep(0)
        while spot is not None and (run := segments.read(spot)):
            if run.missing_from:
                # Some of those that are missing may be as young.
                return spot.seq
            for line in lines(run.data):
                if (line.time.seconds, line.time.nanos) >= wanted:
                    return line.seq - 1
            spot = run.spot
            # A long log takes seconds; everybody else has a turn in between.
            await asyncio.sleep(0)
        return segments.mark.last_seq


def compile_filter(wish: LogFilter) -> Wanted | None:
    """Make a predicate of a filter; None = every line is wanted.

    Raises:
        InvalidRequest: The regular expression is none, or something is too long.

    """
    _check_sizes(wish)
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


def _check_sizes(wish: LogFilter) -> None:
    limits = (
        ("contains", len(wish.contains), MAX_PATTERN_CHARS),
        ("regex", len(wish.regex), MAX_PATTERN_CHARS),
        ("streams", len(wish.streams), MAX_CHOICES),
        ("ranks", len(wish.ranks), MAX_CHOICES),
    )
    wrong = [Violation(f"filter.{name}", f"is longer than {limit}") for name, size, limit in limits if size > limit]
    if wrong:
        raise InvalidRequest(wrong)


def _search(pattern: str) -> Wanted:
    # RE2 needs time linear in the text, whatever the pattern: one client cannot stall the others. Few ever ask for it.
    import re2

    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_PATTERN_MEMORY
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        raise InvalidRequest.of("filter.regex", f"is not a regular expression in RE2 syntax: {error}") from error
    return lambda line: compiled.search(line.text) is not None
