"""A file on its way here: `<name>.part` until all of it has arrived and is known to be right.

Also says which paths of the other side's may be written to at all.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from gateway.client.checksum import crc32c
from gateway.client.errors import ClientError, TransferError
from peftstudio.job.v1.artifact_pb2 import Chunk

_READ_BYTES = 1024 * 1024
"""Enough for the disk's full speed, little enough for any memory."""


class WrongBytesError(ClientError):
    """Raised when bytes are not what they should be; the part is of no use any more."""


def target_path(directory: Path, path: str) -> Path:
    """Return where a file of the other side's goes.

    Raises:
        TransferError: The path is absolute, or leads out of the directory, by itself or through a link.
    """
    parts = path.split("/")
    if (
        not path
        or "\\" in path
        or "\0" in path
        or path.startswith("/")
        or any(part in ("", ".", "..") for part in parts)
    ):
        raise TransferError(f"refused to write to {path!r}: not a plain relative path")

    target = directory.joinpath(*parts)
    if not target.resolve().is_relative_to(directory.resolve()):
        raise TransferError(f"refused to write to {path!r}: it leads out of {directory}")

    return target


class PartFile:
    """The bytes that have arrived so far; what an earlier process left is taken up."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(target.name + ".part")
        self.size = 0
        self._hash = hashlib.sha256()

    def open(self) -> None:
        """Make folders and file, and read what is there already."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            file.seek(0)
            while block := file.read(_READ_BYTES):
                self._hash.update(block)
                self.size += len(block)

    def write(self, chunk: Chunk) -> None:
        """Append a chunk.

        Raises:
            WrongBytesError: It belongs elsewhere, or its checksum is not that of its bytes.
        """
        if chunk.offset != self.size:
            raise WrongBytesError(f"bytes for offset {chunk.offset} came at offset {self.size}")

        if chunk.HasField("crc32c") and crc32c(chunk.data) not in (None, chunk.crc32c):
            raise WrongBytesError(f"the bytes at offset {chunk.offset} were damaged on their way")

        with self.path.open("ab") as file:
            file.write(chunk.data)

        self._hash.update(chunk.data)
        self.size += len(chunk.data)

    def discard(self) -> None:
        """Throw away what arrived."""
        self.path.unlink(missing_ok=True)
        self.size = 0
        self._hash = hashlib.sha256()

    def commit(self, size: int, sha256: str) -> None:
        """Put the file into its place, safe on the disk.

        Raises:
            WrongBytesError: Size or checksum are not these.
        """
        if self.size != size:
            raise WrongBytesError(f"{self.size} bytes arrived instead of {size}")

        if self._hash.hexdigest() != sha256:
            raise WrongBytesError("the SHA-256 of what arrived is not the file's")

        with self.path.open("ab") as file:
            os.fsync(file.fileno())

        self.path.replace(self.target)
        folder = os.open(self.target.parent, os.O_RDONLY)
        try:
            # Without this a power cut could undo the renaming.
            os.fsync(folder)
        finally:
            os.close(folder)
