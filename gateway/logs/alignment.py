"""Finds out which lines of a source are stored already.

A source that goes on where it was left gives only fresh ones. One that starts again at its first line is compared:
1. Its lines are counted, and a checksum is taken over them. At the places where earlier batches ended, it must be what
   it was then, and at the last stored line, too: what comes behind that is fresh.
2. A last line that is now longer had been cut: it is stored again, whole, behind a gap that says so.
3. Where a checksum differs, or the log stops early with other lines, lines were skipped, repeated or deleted at the
   source. It is read again, looking for the last WINDOW stored lines in a row: what comes behind them is fresh.
4. If they are nowhere until the source has nothing more, the best match of at least FEW of them counts; else the lines
   up to the last checksum that agreed are taken as stored. A gap then says what happened, and that lines may be
   repeated behind it. So does one where the match was shorter than ENOUGH, or all of one line.
The counts and checksums of the log as it is now hold from then on: they are stored under the next `prefix`.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from gateway.logs.place import Place

WINDOW = 32
"""Last stored lines that are looked for."""

ENOUGH = 8
"""Lines in a row that are no coincidence."""

FEW = 3
"""Lines in a row that are better than nothing."""

CAUGHT_UP_SECONDS = 15.0
"""Silence after which a source has nothing more at present: longer than a slow page takes."""

LOST = "the log changed at its source, and its last lines are no longer there; lines may be repeated from here on"
CUT = "the line before was cut short at its source; it comes again, whole"


class Differs(Exception):
    """Raised when a source's lines are not those that it had before."""


Shown = Callable[[], Sequence[str]]
"""Gives the lines of a batch as they are stored."""


class Continuation(Protocol):
    """The way of one stream behind what is stored."""

    place: Place
    """Where the source is behind the lines that were taken."""
    gap: str
    """Why lines may be missing in front of the next fresh one; empty = none are."""

    @property
    def is_from_start(self) -> bool:
        """Whether the stream is to begin with the source's first line."""
        ...

    @property
    def patience_seconds(self) -> float | None:
        """After how long a silence to see how the stream stands; None = it stands well."""
        ...

    def take(self, texts: Sequence[str], shown: Shown, cursor: str) -> int:
        """Take a batch as it came, and return how many lines at its front are stored already.

        Raises:
            Differs: What is stored is to be looked for.

        """
        ...


class Onward:
    """A source that goes on where it was left, or that gives only what comes."""

    is_from_start = False
    patience_seconds = None

    def __init__(self, place: Place, gap: str = "") -> None:
        self.place = place
        self.gap = gap

    def take(self, texts: Sequence[str], shown: Shown, cursor: str) -> int:
        """Take all lines as fresh."""
        lines = self.place.source_lines + len(texts)
        cursor = cursor or self.place.cursor
        self.place = replace(self.place, cursor=cursor, source_lines=lines, digest=0, last_bytes=0)
        return 0


class Replay:
    """A source that starts again at its first line."""

    is_from_start = True

    def __init__(self, stored: Place, checks: Mapping[int, int], gap: str = "") -> None:
        self.place = replace(stored, source_lines=0, digest=0, last_bytes=0)
        self.agreed = self.place
        """Where a checksum last agreed."""
        self.gap = gap
        self._stored = stored
        self._checks = {**checks, stored.source_lines: stored.digest}
        # Where to look up: at each checksum, and in front of the last line.
        self._stops = sorted({*self._checks, stored.source_lines - 1})
        self._recent: deque[str] = deque(maxlen=WINDOW)

    def take(self, texts: Sequence[str], shown: Shown, cursor: str) -> int:
        """Compare the lines that are stored already, and take the others as fresh."""
        known = 0
        while known < len(texts) and self.missing_lines > 0:
            if self.missing_lines == 1 and self._is_cut(texts[known]):
                # From here on as if that line had never been stored: its whole form is another line.
                self._stored = self.place = replace(self.place, prefix=self._stored.prefix + 1)
                self.gap = CUT
                break
            stop = self._stops[bisect_right(self._stops, self.place.source_lines)]
            stretch = texts[known : known + stop - self.place.source_lines]
            self.place = behind(self.place, stretch)
            self._recent.extend(stretch)
            self._compare()
            known += len(stretch)
        if known < len(texts):
            self.place = behind(self.place, texts[known:], cursor)
        return known

    @property
    def patience_seconds(self) -> float | None:
        """Wait for fresh lines only without an end."""
        return CAUGHT_UP_SECONDS if self.missing_lines > 0 else None

    @property
    def missing_lines(self) -> int:
        """How many of the stored lines did not come."""
        return self._stored.source_lines - self.place.source_lines

    @property
    def unchecked(self) -> Sequence[str]:
        """The last lines that came and have no checksum yet."""
        count = self.place.source_lines - self.agreed.source_lines
        return list(self._recent)[-count:] if count else ()

    def _is_cut(self, text: str) -> bool:
        stored, data = self._stored, text.encode()
        if not stored.digest or not 0 < stored.last_bytes < len(data):
            return False
        return _digest(self.place.digest, data[: stored.last_bytes]) == stored.digest

    def _compare(self) -> None:
        expected = self._checks.get(self.place.source_lines, 0)
        if expected and expected != self.place.digest:
            raise Differs
        if expected:
            self.agreed = self.place


@dataclass(frozen=True, slots=True)
class _Match:
    length: int
    place: Place


class Search:
    """A source in which the last stored lines are looked for."""

    is_from_start = True

    def __init__(self, stored: Place, tail: Sequence[str], agreed: Place) -> None:
        self.place = Place(prefix=stored.prefix + 1)
        self.gap = ""
        self._agreed = replace(agreed, prefix=stored.prefix + 1)
        self._tail = tail
        self._recent: deque[str] = deque(maxlen=WINDOW)
        self._best = _Match(0, self._agreed)
        self.is_found = False

    def take(self, texts: Sequence[str], shown: Shown, cursor: str) -> int:
        """Compare lines until the stored ones are found, and take those behind as fresh."""
        known, comparable = 0, () if self.is_found else shown()
        while known < len(texts) and not self.is_found:
            self.place = behind(self.place, texts[known : known + 1])
            self._recent.append(comparable[known])
            known += 1
            self._compare()
        if known < len(texts):
            self.place = behind(self.place, texts[known:], cursor)
        return known

    @property
    def patience_seconds(self) -> float | None:
        """Wait no longer for what is not there."""
        return None if self.is_found else CAUGHT_UP_SECONDS

    def give_up(self) -> Replay:
        """Return how to read the source from its first line once more, now that it has been read to its end."""
        best = self._best
        if best.length >= FEW:
            return Replay(best.place, {}, _found_few(best.length))
        return Replay(self._agreed, {}, LOST)

    def _compare(self) -> None:
        length = _common_end(self._tail, self._recent)
        if length >= self._best.length and length:
            self._best = _Match(length, self.place)
        self.is_found = 0 < len(self._tail) == length
        if self.is_found and (length < ENOUGH or len(set(self._tail)) == 1):
            self.gap = _found_few(length)


def behind(place: Place, texts: Sequence[str], cursor: str = "") -> Place:
    """Return the place behind further lines of a source that is replayed."""
    data = "\n".join(texts).encode()
    return replace(
        place,
        cursor=cursor or place.cursor,
        source_lines=place.source_lines + len(texts),
        digest=_digest(place.digest, data),
        last_bytes=len(data) - (data.rfind(b"\n") + 1),
    )


def _found_few(count: int) -> str:
    return f"the log changed at its source; it goes on where its last lines were found again ({count} in a row)"


def _digest(before: int, line: bytes) -> int:
    # The line end comes first, so that the beginning of a line can be compared with a line that was cut.
    return zlib.crc32(line, zlib.crc32(b"\n", before))


def _common_end(tail: Sequence[str], recent: Sequence[str]) -> int:
    length = 0
    while length < min(len(tail), len(recent)) and tail[-1 - length] == recent[-1 - length]:
        length += 1
    return length
