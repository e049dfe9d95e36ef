"""Files that are being written: hashed as they grow, read meanwhile, kept whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path

from gateway.artifacts.uncached import BLOCK_BYTES, CACHED_BYTES, UncachedWriter
from gateway.errors import GatewayError, StorageFull

_READ_BYTES = 1024 * 1024
_WRITE_BYTES = 256 * 1024
"""Linux takes up to ten times as long over larger writes while it has no large pages left."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


class Part:
    """One `.part` file. All methods block; call them from a thread."""

    def __init__(self, path: Path, cached_bytes: int = CACHED_BYTES) -> None:
        self.path = path
        self.size = 0
        self._cached_bytes = cached_bytes
        self._uncached: UncachedWriter | None = None
        self._hash = hashlib.sha256()
        # Nobody must use the descriptor's number once it is closed and belongs to another file.
        self._lock = threading.RLock()
        self._descriptor = -1

    def open(self) -> None:
        """Make the file, or go on with what there is of it.

        Raises:
            StorageFull: The disk is full or not writable.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            while data := os.pread(self._descriptor, _READ_BYTES, self.size):
                self._hash.update(data)
                self.size += len(data)
        except OSError as error:
            raise storage_error(error, self.path) from error

    def write(self, pieces: Sequence[bytes]) -> None:
        """Append bytes.

        Raises:
            StorageFull: The disk is full or not writable; the file is no longer of use.
        """
        with self._lock:
            try:
                for data in pieces:
                    self._append(data)
                    self._hash.update(data)
                    self.size += len(data)
            except OSError as error:
                raise storage_error(error, self.path) from error

    def read(self, offset: int, size: int) -> bytes:
        """Read bytes that were written; empty once the file is closed."""
        with self._lock:
            return os.pread(self._descriptor, size, offset) if self._descriptor >= 0 else b""

    @property
    def sha256(self) -> str:
        """Checksum of what was written so far."""
        return self._hash.hexdigest()

    def close(self) -> None:
        """Close the file; what was not synced may be lost."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
            self._descriptor = -1
            if self._uncached:
                self._uncached.close()

    def finish(self, path: Path) -> None:
        """Make the bytes durable under their final name."""
        with self._lock:
            try:
                os.fsync(self._descriptor)
                move_durably(self.path, path)
            except OSError as error:
                raise storage_error(error, path) from error
            self.close()

    def discard(self) -> None:
        """Delete the file."""
        self.close()
        self.path.unlink(missing_ok=True)

    def _append(self, data: bytes) -> None:
        view, offset = memoryview(data), self.size
        while view:
            # It ends at the end of a block, so that what follows can pass by the cache.
            most = _WRITE_BYTES - offset % BLOCK_BYTES
            written = self._append_uncached(view, offset) or os.pwrite(self._descriptor, view[:most], offset)
            view, offset = view[written:], offset + written

    def _append_uncached(self, view: memoryview, offset: int) -> int:
        if offset < self._cached_bytes:
            return 0
        self._uncached = self._uncached or UncachedWriter(self.path)
        return self._uncached.write(view, offset)


def write_all(descriptor: int, data: bytes, offset: int) -> None:
    """Write all bytes at an offset, as one system call need not."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view[:_WRITE_BYTES], offset)
        view, offset = view[written:], offset + written


def move_durably(source: Path, target: Path) -> None:
    """Rename a synced file, so that a power cut leaves it under one of the names."""
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(source, target)
    descriptor = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def storage_error(error: OSError, path: Path) -> GatewayError:
    """Say what to do about a disk that takes no more."""
    why = "is full" if error.errno in _FULL else f"cannot be written ({error.strerror})"
    return StorageFull(f"the disk of {path.parent} {why}; free some space there and try again")
