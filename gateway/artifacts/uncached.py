"""Large files pass by the page cache: one pushes out of it what others need, and its pages cost more than its bytes.

The beginning of each stays there: most files are no longer, and are read again soon.
"""

from __future__ import annotations

import errno
import mmap
import os
from pathlib import Path

CACHED_BYTES = 64 * 1024 * 1024
"""Of each file; most adapters are smaller."""

BLOCK_BYTES = 4096
"""What is written past the cache begins and ends at multiples of it; disks and file systems ask for no more."""

_BEHIND_BYTES = 8 * 1024 * 1024
"""Dropped again with each read: the system keeps files in folios of up to some MiB, and drops a folio whole or not."""

_BUFFER_BYTES = 1024 * 1024
"""Written at once; more gains nothing."""


class UncachedWriter:
    """Writes whole blocks past the page cache. Its methods block; call them from one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Open a file that is there; where the system cannot write so, `write` takes nothing."""
        self._descriptor = _open(path)
        # It must be aligned as the blocks are, and bytes objects are not.
        self._buffer = memoryview(mmap.mmap(-1, _BUFFER_BYTES))

    def write(self, data: memoryview, offset: int) -> int:
        """Write what can be of these bytes, and return how many were; 0 = they are to be written in another way.

        Raises:
            OSError: The disk is full or not writable.
        """
        size = min(len(data), _BUFFER_BYTES) // BLOCK_BYTES * BLOCK_BYTES
        if self._descriptor < 0 or offset % BLOCK_BYTES or not size:
            return 0
        self._buffer[:size] = data[:size]
        try:
            return os.pwrite(self._descriptor, self._buffer[:size], offset)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            # Some file systems take the flag, and then no write.
            self.close()
            return 0

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


def read(descriptor: int, size: int, offset: int, cached_bytes: int = CACHED_BYTES) -> bytes:
    """Read from a file, and leave in the page cache no more than its beginning of what a reader has passed."""
    data = os.pread(descriptor, size, offset)
    start = max(cached_bytes, offset - _BEHIND_BYTES)
    if offset > start and hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, start, offset - start, os.POSIX_FADV_DONTNEED)
    return data


def _open(path: Path) -> int:
    flag = getattr(os, "O_DIRECT", 0)
    try:
        return os.open(path, os.O_WRONLY | flag) if flag else -1
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return -1
