"""The log of one job on disk: segments, of which the newest is written to and the oldest are deleted in time.

A segment is named for the line behind which it starts; the first one has no number in its name. A new segment begins
with where the one before ended, and appears at once with that. Of a deleted one, the index goes first. So whatever a
crash interrupts, the segments that have an index are whole, and what else lies around is removed. Where a segment does
not follow the one before, the lines between them are missing, and whoever reads on is told so.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from gateway.errors import StorageFull
from gateway.logs.mark import Entry, Mark
from gateway.logs.place import Place
from gateway.logs.segment import Segment, index_path, lines_path
from gateway.logs.wire import MESSAGE_BYTES, Stretch, lines

SEGMENTS = 8
"""In how many parts a full log is deleted: the fewer, the more of what could be kept goes at once."""

MAX_SEGMENT_BYTES = 16 * 1024**2
"""Bounds what a start reads of an index: a few hundred milliseconds, if every line came alone."""

MAX_OPEN = 2
"""Newest segments that stay open: readers that are further back open what they need."""

MAX_CHECKS = 64
"""Marks of each segment that a replay is compared with."""

RETENTION = "older lines were deleted to keep logs within their limits"
DAMAGE = "the file that had these lines is damaged"

_INDEX = re.compile(r"index(?:-([0-9]+))?")
_LINES = re.compile(r"lines(?:-([0-9]+))?")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a reader stands."""

    base: int
    """The segment, which may have been deleted meanwhile."""
    position: int
    seq: int
    """The last line that was read or passed over."""


@dataclass(frozen=True, slots=True)
class Run:
    """What comes next for a reader: lines, or what is missing in their place."""

    spot: Spot
    """Behind it."""
    data: bytes = b""
    missing_from: int = 0
    """First line of those that are missing, up to that of the spot; 0 = none is."""
    why: str = ""


class Segments:
    """Append lines to a job's log, and read it from anywhere."""

    def __init__(self, folder: Path, max_bytes: int = 0) -> None:
        """Open the log in this folder, or of one to be; with more than `max_bytes`, its oldest lines are deleted.

        Raises:
            StorageFull: The folder cannot be written.

        """
        self._folder = folder
        self._max_bytes = max_bytes
        self._segment_bytes = min(max_bytes // SEGMENTS, MAX_SEGMENT_BYTES) if max_bytes else MAX_SEGMENT_BYTES
        self.is_new = not os.path.isdir(folder)
        """Whether nothing was ever stored, as of every job that begins."""
        self._bases = [0] if self.is_new else _found(folder)
        self._sizes = {base: disk_bytes(folder, base) for base in self._bases[:-1]}
        self._open: dict[int, Segment] = {}
        self._active = self._open[self._bases[-1]] = Segment(folder, self._bases[-1], is_new=self.is_new)

    @property
    def mark(self) -> Mark:
        """How far the log is valid."""
        return self._active.mark

    @property
    def kept_after(self) -> int:
        """The line behind which the log is kept."""
        return self._bases[0]

    def close(self) -> None:
        """Close the files."""
        for segment in self._open.values():
            segment.close()

    def append(self, encoded: Sequence[Stretch], place: Place, *, latest: int = 0, gap: bytes = b"") -> None:
        """Store encoded lines, numbered on from `mark.last_seq`, with the gap in front and the source's place behind.

        Raises:
            StorageFull: The disk is full; nothing was added.

        """
        self._active.append(encoded, place, latest=latest, gap=gap)
        if self._active.disk_bytes >= self._segment_bytes:
            self._rotate()
            while self._max_bytes and self._is_too_large():
                self._drop_oldest()

    def drop_older(self, moment: float) -> None:
        """Delete the segments that were last written to before a moment, in seconds since 1970."""
        if self._active.mark.last_seq > self._active.base and self._is_older(self._active.base, moment):
            self._rotate()
        while len(self._bases) > 1 and self._is_older(self._bases[0], moment):
            self._drop_oldest()

    def locate(self, after_seq: int) -> Spot:
        """Return where the line behind `after_seq` starts."""
        index = bisect_right(self._bases, after_seq) - 1
        if index < 0:
            return Spot(-1, 0, after_seq)
        base = self._bases[index]
        return Spot(base, self._segment(base).locate(after_seq), after_seq)

    def locate_time(self, seconds: int) -> Iterator[Spot | None]:
        """Look for a spot before which every line is older than this: None for each segment that is, then the spot."""
        for base in list(self._bases):
            # It may have been deleted while whoever looks was waiting.
            found = self._segment(base).locate_time(seconds) if self._has(base) else None
            if found is not None:
                # Where the log is kept from here on only, earlier ones may have been as young.
                yield Spot(base, *found) if found[0] or not base or base > self.kept_after else Spot(-1, 0, 0)
                return
            yield None
        yield self.locate(self.mark.last_seq)

    def read(self, spot: Spot, most_bytes: int = MESSAGE_BYTES) -> Run | None:
        """Return what comes behind a spot, at most one message of such a size; None = nothing yet."""
        while True:
            if self._has(spot.base):
                segment = self._segment(spot.base)
                data, seq = segment.read(spot.position, most_bytes)
                if data:
                    return Run(Spot(spot.base, spot.position + len(data), seq), data)
            following = bisect_right(self._bases, spot.base)
            if following == len(self._bases):
                return None
            base = self._bases[following]
            if base > spot.seq:
                why = DAMAGE if following else RETENTION
                return Run(Spot(base, 0, base), missing_from=spot.seq + 1, why=why)
            spot = Spot(base, 0, spot.seq)

    def texts(self, after_seq: int, last_seq: int) -> list[str]:
        """Return the texts of some lines; fewer where they are not kept."""
        spot, found = self.locate(max(self.kept_after, after_seq)), []
        while spot.seq < last_seq and (run := self.read(spot)):
            spot = run.spot
            found += [line.text for line in lines(run.data) if line.seq <= last_seq]
        return found

    def checks(self) -> dict[int, int]:
        """Return digests of the source's first lines, by how many lines those are."""
        found = {}
        for base in self._bases:
            entries = _index_lines(self._folder, base)
            for line in entries[:: len(entries) // MAX_CHECKS + 1]:
                entry = Entry.parse(line)
                if entry and entry.mark.place.digest and entry.mark.place.prefix == self.mark.place.prefix:
                    found[entry.mark.place.source_lines] = entry.mark.place.digest
        return found

    def _has(self, base: int) -> bool:
        index = bisect_left(self._bases, base)
        return index < len(self._bases) and self._bases[index] == base

    def _segment(self, base: int) -> Segment:
        if base not in self._open:
            segment = self._open[base] = Segment(self._folder, base)
            segment.seal()
        return self._open[base]

    def _rotate(self) -> None:
        try:
            following = Segment.begin(self._folder, self._active.mark)
        except StorageFull as error:
            # The lines are stored; the next ones try again.
            log.warning("log not continued in a new file", folder=str(self._folder), error=error.message)
            return
        self._active.seal()
        self._sizes[self._active.base] = self._active.disk_bytes
        self._active = self._open[following.base] = following
        self._bases.append(following.base)
        for base in self._open.keys() - self._bases[-MAX_OPEN:]:
            self._open.pop(base).close()

    def _is_too_large(self) -> bool:
        return len(self._bases) > 1 and sum(self._sizes.values()) + self._active.disk_bytes > self._max_bytes

    def _is_older(self, base: int, moment: float) -> bool:
        return written_at(self._folder, base) < moment

    def _drop_oldest(self) -> None:
        base = self._bases.pop(0)
        self._sizes.pop(base, None)
        if segment := self._open.pop(base, None):
            segment.close()
        _remove(self._folder, base)


def bases_in(folder: Path) -> list[int]:
    """List the segments of the log in a folder, oldest first."""
    return sorted(int(match[1] or 0) for name in os.listdir(folder) if (match := _INDEX.fullmatch(name)))


def disk_bytes(folder: Path, base: int) -> int:
    """Return what a segment takes on disk; 0 where it has no lines."""
    try:
        size = lines_path(folder, base).stat().st_size
        return size and size + index_path(folder, base).stat().st_size
    except OSError:
        return 0


def written_at(folder: Path, base: int) -> float:
    """Return when a segment was last written to, in seconds since 1970; 0 where it is not there."""
    try:
        return index_path(folder, base).stat().st_mtime
    except OSError:
        return 0.0


def _found(folder: Path) -> list[int]:
    """List the segments of a log, and remove what a crash left of others."""
    bases, names = bases_in(folder), os.listdir(folder)
    while len(bases) > 1 and not _has_begun(folder, bases[-1]):
        # Only a loss of power leaves one without its beginning.
        _remove(folder, bases.pop())
    for name in names:
        is_left = bases and (match := _LINES.fullmatch(name)) and int(match[1] or 0) not in bases
        if is_left or (name.startswith("index-") and name.endswith(".new")):
            (folder / name).unlink(missing_ok=True)
    return bases or [0]


def _index_lines(folder: Path, base: int) -> list[bytes]:
    try:
        return index_path(folder, base).read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        # Nothing was appended yet.
        return []


def _has_begun(folder: Path, base: int) -> bool:
    with index_path(folder, base).open("rb") as index:
        return Entry.parse(index.readline()) is not None


def _remove(folder: Path, base: int) -> None:
    with suppress(OSError):
        index_path(folder, base).unlink(missing_ok=True)
        lines_path(folder, base).unlink(missing_ok=True)
