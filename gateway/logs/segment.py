"""The log of one job on disk: lines in wire format, and an index that says how far they are valid.

Writing appends the lines first and the index entry then; only what the index covers is served. After a crash the
file is cut back to the last entry, and the entry's cursor fetches the rest again from the platform: no line is lost,
repeated or served before it is stored.
"""

from __future__ import annotations

import errno
import json
import os
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from gateway.errors import StorageFull
from gateway.logs.wire import frames

READ_BYTES = 32 * 1024
"""Bytes per message to a follower, as the contract says; a single line may be longer."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How far the log is valid, and how its source continues behind that point."""

    size: int = 0
    """Bytes."""
    last_seq: int = 0
    cursor: str = ""
    source_lines: int = 0
    """Lines that came from the source; lines that the gateway wrote itself don't count."""


class Segment:
    """Append lines to one job's log, and read runs of whole lines from anywhere."""

    def __init__(self, folder: Path) -> None:
        """Open the log in this folder, or start one.

        Raises:
            StorageFull: The folder cannot be written.

        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lines = os.open(folder / "lines", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._index = os.open(folder / "index", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageFull(f"the log folder {folder} cannot be written: {error.strerror}") from error
        self._mark = Mark()
        # Where a message to a follower may end: bytes, and the seq of the last line before each.
        self._sizes, self._seqs = [0], [0]
        self._index_bytes = 0
        self._load(os.fstat(self._lines).st_size)
        self._cut_back()

    @property
    def mark(self) -> Mark:
        """How far the log is valid."""
        return self._mark

    def close(self) -> None:
        """Close the files."""
        os.close(self._lines)
        os.close(self._index)

    def append(self, encoded: Sequence[bytes], cursor: str, source_lines: int) -> None:
        """Store encoded lines, numbered on from `mark.last_seq`, with the source's cursor behind them.

        Raises:
            StorageFull: The disk is full; nothing was added.

        """
        ends = _message_ends(encoded, self._mark)
        mark = Mark(ends[-1][0], ends[-1][1], cursor, source_lines)
        entry = json.dumps({**asdict(mark), "ends": ends}, separators=(",", ":")).encode() + b"\n"
        try:
            _write_all(self._lines, b"".join(encoded), self._mark.size)
            _write_all(self._index, entry, self._index_bytes)
        except OSError as error:
            self._cut_back()
            raise StorageFull(f"the log cannot be written: {os.strerror(error.errno or errno.EIO)}") from error
        self._advance(mark, ends, len(entry))

    def locate(self, after_seq: int) -> int:
        """Return the byte at which the line behind `after_seq` starts."""
        if after_seq >= self._mark.last_seq:
            return self._mark.size
        block = bisect_right(self._seqs, after_seq) - 1
        start, skip = self._sizes[block], after_seq - self._seqs[block]
        data = os.pread(self._lines, self._sizes[block + 1] - start, start)
        return start + _skip(data, skip)

    def read(self, position: int) -> tuple[bytes, int]:
        """Return whole lines from a byte on, and the seq of the last of them; empty at the end of what is valid."""
        if position >= self._mark.size:
            return b"", self._mark.last_seq
        block = bisect_right(self._sizes, position + READ_BYTES) - 1
        if self._sizes[block] <= position:
            block += 1
        return os.pread(self._lines, self._sizes[block] - position, position), self._seqs[block]

    def _load(self, size: int) -> None:
        """Read the index as far as the lines on disk bear it out."""
        for entry in os.pread(self._index, os.fstat(self._index).st_size, 0).splitlines(keepends=True):
            parsed = _parse(entry)
            if parsed is None or parsed[0].size > size:
                return
            self._advance(*parsed, len(entry))

    def _advance(self, mark: Mark, ends: Sequence[tuple[int, int]], entry_bytes: int) -> None:
        self._mark = mark
        self._index_bytes += entry_bytes
        self._sizes += [size for size, _ in ends]
        self._seqs += [seq for _, seq in ends]

    def _cut_back(self) -> None:
        os.ftruncate(self._lines, self._mark.size)
        os.ftruncate(self._index, self._index_bytes)


def _message_ends(encoded: Sequence[bytes], mark: Mark) -> list[tuple[int, int]]:
    """Return (bytes, seq) behind every run of lines that fills a message, and behind the last line."""
    ends: list[tuple[int, int]] = []
    size = start = mark.size
    for seq, line in enumerate(encoded, mark.last_seq + 1):
        if size > start and size + len(line) - start > READ_BYTES:
            ends.append((size, seq - 1))
            start = size
        size += len(line)
    ends.append((size, mark.last_seq + len(encoded)))
    return ends


def _skip(data: bytes, count: int) -> int:
    for number, (start, _, _) in enumerate(frames(data)):
        if number == count:
            return start
    return len(data)


def _parse(entry: bytes) -> tuple[Mark, list[tuple[int, int]]] | None:
    """Read an index entry; None = it is torn."""
    if not entry.endswith(b"\n"):
        return None
    try:
        fields = json.loads(entry)
        ends = [(size, seq) for size, seq in fields.pop("ends")]
        return Mark(**fields), ends
    except (ValueError, TypeError, KeyError):
        return None


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
