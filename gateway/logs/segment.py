"""A stretch of one job's log on disk: lines in wire format, and an index that says how far they are valid.

Writing appends the lines first and the index entry then; only what the index covers is served. After a crash the
file is cut back to the last entry, and the entry's place fetches the rest again from the platform: no line is lost,
repeated or served before it is stored. The first entry of all segments but a log's first is what the segment before
ended with. A gap is stored in front of the line that it precedes, in the same entry.
"""

from __future__ import annotations

import errno
import os
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from pathlib import Path

from gateway.errors import StorageFull
from gateway.logs.mark import Entry, Mark
from gateway.logs.place import Place
from gateway.logs.wire import MESSAGE_BYTES, Stretch, frames, is_line

_CLOSED = -1


def index_path(folder: Path, base: int) -> Path:
    """Name the index of the segment behind a line."""
    return folder / (f"index-{base}" if base else "index")


def lines_path(folder: Path, base: int) -> Path:
    """Name the lines of the segment behind a line."""
    return folder / (f"lines-{base}" if base else "lines")


class Segment:
    """Append lines to one segment, and read runs of whole lines from anywhere in it."""

    def __init__(self, folder: Path, base: int = 0, *, is_new: bool = False) -> None:
        """Open the segment behind the line `base`; one that is not there is made by what is appended first.

        Raises:
            StorageFull: The folder cannot be written.

        """
        self._folder = folder
        self._lines = self._index = _CLOSED
        self.base = base
        self._mark = Mark(last_seq=base)
        # Where a message to a follower may end: bytes, the seq of the last line before, and the latest time before.
        self._sizes, self._seqs, self._latest = [0], [base], [0]
        self._gaps: list[int] = []
        self._index_bytes = 0
        if not is_new and index_path(folder, base).exists():
            self._open()
            self._load(os.fstat(self._lines).st_size)
            self._cut_back()

    @classmethod
    def begin(cls, folder: Path, mark: Mark) -> Segment:
        """Start the segment behind a mark; it is there whole or not at all.

        Raises:
            StorageFull: The folder cannot be written.

        """
        first = Entry(Mark(0, mark.last_seq, mark.place, mark.latest))
        path = index_path(folder, mark.last_seq)
        draft = path.with_suffix(".new")
        try:
            draft.write_bytes(first.encode())
            draft.chmod(0o600)
            draft.rename(path)
        except OSError as error:
            raise StorageFull(f"the log folder {folder} cannot be written: {error.strerror}") from error
        return cls(folder, mark.last_seq)

    @property
    def mark(self) -> Mark:
        """How far the segment is valid."""
        return self._mark

    @property
    def disk_bytes(self) -> int:
        """What it takes on disk."""
        return self._mark.size + self._index_bytes

    def close(self) -> None:
        """Close the files."""
        if self._lines != _CLOSED:
            os.close(self._lines)
        self._lines = _CLOSED
        self.seal()

    def seal(self) -> None:
        """Give up what is needed for writing alone."""
        if self._index != _CLOSED:
            os.close(self._index)
        self._index = _CLOSED

    def append(self, encoded: Sequence[Stretch], place: Place, *, latest: int = 0, gap: bytes = b"") -> None:
        """Store encoded lines, numbered on from `mark.last_seq`, with the gap in front and the source's place behind.

        Raises:
            StorageFull: The disk is full; nothing was added.

        """
        if self._lines == _CLOSED:
            self._open()
            self._cut_back()
        ends = _message_ends(encoded, self._mark, len(gap))
        size, seq = ends[-1] if ends else (self._mark.size, self._mark.last_seq)
        entry = Entry(Mark(size, seq, place, max(latest, self._mark.latest)), ends, has_gap=bool(gap))
        index = entry.encode()
        try:
            _write_all(self._lines, b"".join((gap, *(stretch.data for stretch in encoded))), self._mark.size)
            _write_all(self._index, index, self._index_bytes)
        except OSError as error:
            self._cut_back()
            raise StorageFull(f"the log cannot be written: {os.strerror(error.errno or errno.EIO)}") from error
        self._advance(entry, len(index))

    def locate(self, after_seq: int) -> int:
        """Return the byte at which the line behind `after_seq` starts, or the gap in front of it."""
        if after_seq >= self._mark.last_seq:
            return self._mark.size
        block = bisect_right(self._seqs, after_seq) - 1
        start, skip = self._sizes[block], after_seq - self._seqs[block]
        return start + _skip(os.pread(self._lines, self._sizes[block + 1] - start, start), skip) if skip else start

    def locate_time(self, seconds: int) -> tuple[int, int] | None:
        """Return a byte before which every line is older than this, and the last line there; None = all lines are."""
        block = bisect_left(self._latest, seconds)
        return None if block == len(self._latest) else (self._sizes[max(0, block - 1)], self._seqs[max(0, block - 1)])

    def read(self, position: int, most_bytes: int = MESSAGE_BYTES) -> tuple[bytes, int]:
        """Return whole lines from a byte on, and the seq of the last of them; empty at the end of what is valid.

        More than `most_bytes` is only a single line. A gap can only be at the beginning of what is returned.
        """
        if position >= self._mark.size:
            return b"", self._mark.last_seq
        block = bisect_right(self._sizes, position + most_bytes) - 1
        if self._sizes[block] <= position:
            block += 1
        gap = bisect_right(self._gaps, position)
        if gap < len(self._gaps) and self._gaps[gap] < self._sizes[block]:
            block = bisect_left(self._sizes, self._gaps[gap])
        return os.pread(self._lines, self._sizes[block] - position, position), self._seqs[block]

    def _open(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self._lines = os.open(lines_path(self._folder, self.base), flags, 0o600)
            self._index = os.open(index_path(self._folder, self.base), flags, 0o600)
        except OSError as error:
            self.close()
            raise StorageFull(f"the log folder {self._folder} cannot be written: {error.strerror}") from error

    def _load(self, size: int) -> None:
        """Read the index as far as the lines on disk bear it out."""
        for line in os.pread(self._index, os.fstat(self._index).st_size, 0).splitlines(keepends=True):
            entry = Entry.parse(line)
            if entry is None or entry.mark.size > size:
                return
            self._advance(entry, len(line))

    def _advance(self, entry: Entry, entry_bytes: int) -> None:
        is_joined = not entry.has_gap
        if entry.has_gap:
            self._gaps.append(self._mark.size)
        self._mark = entry.mark
        self._index_bytes += entry_bytes
        if not entry.ends and entry.mark.latest > self._latest[-1]:
            self._latest[-1] = entry.mark.latest
        for size, seq in entry.ends:
            # Ends of small batches within one message are not worth their memory.
            if is_joined and len(self._sizes) > 1 and size - self._sizes[-2] <= MESSAGE_BYTES:
                self._sizes[-1], self._seqs[-1], self._latest[-1] = size, seq, entry.mark.latest
            else:
                self._sizes.append(size)
                self._seqs.append(seq)
                self._latest.append(entry.mark.latest)
            is_joined = True

    def _cut_back(self) -> None:
        for descriptor, size in ((self._lines, self._mark.size), (self._index, self._index_bytes)):
            # A file that is as it should be keeps the time at which it was written to.
            if os.fstat(descriptor).st_size != size:
                os.ftruncate(descriptor, size)


def _message_ends(encoded: Sequence[Stretch], mark: Mark, head_bytes: int) -> list[tuple[int, int]]:
    """Return (bytes, seq) behind every run of lines that fills a message, and behind the last line."""
    if not encoded:
        return []
    ends: list[tuple[int, int]] = []
    start, seq = mark.size, mark.last_seq
    size = start + head_bytes
    for stretch in encoded:
        if seq > mark.last_seq and size + len(stretch.data) - start > MESSAGE_BYTES:
            ends.append((size, seq))
            start = size
        size += len(stretch.data)
        seq += stretch.count
    ends.append((size, seq))
    return ends


def _skip(data: bytes, count: int) -> int:
    """Return where the line behind so many lines starts."""
    for start, _, _ in frames(data):
        if is_line(data, start):
            if not count:
                return start
            count -= 1
    return len(data)


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
