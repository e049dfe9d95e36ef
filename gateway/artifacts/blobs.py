"""Files by their checksum: `<root>/ab/<sha256>`, each written once, whole and verified, and never changed.

Files on their way in are in `<root>/incoming`, and outlive the gateway: what was loaded once need not be loaded again.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

from gateway.artifacts.model import CHUNK_BYTES, Piece
from gateway.artifacts.part import Part
from gateway.artifacts.uncached import read
from gateway.errors import NotReady

ABANDONED_AFTER = timedelta(days=7)
"""Long enough for a long weekend with a bad line."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_DOWNLOAD = "fill-"


def is_sha256(text: str) -> bool:
    """Whether the text is a SHA-256 in lower-case hex."""
    return _SHA256.fullmatch(text) is not None


class Blobs:
    """The gateway's own copies of files."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @classmethod
    async def open(cls, root: Path) -> Blobs:
        """Open or make the store, and delete what downloads left long ago."""
        await asyncio.to_thread(_prepare, root)
        return cls(root)

    @property
    def incoming(self) -> Path:
        """Where files on their way in are; on the same file system, so that a rename is enough."""
        return self._root / "incoming"

    def path(self, sha256: str) -> Path:
        """Say where the file with this checksum is, or would be.

        Raises:
            ValueError: It is not a SHA-256, which could lead out of the store.
        """
        if not is_sha256(sha256):
            raise ValueError(f"{sha256!r} is not a SHA-256 in lower-case hex")
        return self._root / sha256[:2] / sha256

    async def size(self, sha256: str) -> int | None:
        """Return the size of a file; None = it is not here."""
        return await asyncio.to_thread(_size, self.path(sha256))

    async def has(self, sha256: str) -> bool:
        """Whether the file is here."""
        return await self.size(sha256) is not None

    async def delete(self, sha256: str) -> None:
        """Delete a file; those who read it now read on."""
        await asyncio.to_thread(self.path(sha256).unlink, missing_ok=True)

    async def by_age(self) -> list[tuple[str, int]]:
        """List checksums and sizes of all files, the one that was not read for the longest time first."""
        return await asyncio.to_thread(_by_age, self._root)

    def part(self, name: str) -> Part:
        """Return a download's file; under the same name it is the same file, which may have bytes already."""
        return Part(self.incoming / f"{_DOWNLOAD}{name}.part")

    async def read(self, sha256: str, offset: int = 0, end: int | None = None) -> AsyncGenerator[Piece, None]:
        """Read a file from an offset to an end, one piece ahead; None = its own end.

        Raises:
            NotReady: The file is no longer here.
        """
        try:
            file = await asyncio.to_thread(_open, self.path(sha256))
        except FileNotFoundError as error:
            raise NotReady("the file has just left the gateway's store; ask again and it is fetched anew") from error
        ahead = _begin_read(file, offset, end)
        try:
            while data := await asyncio.shield(ahead):
                ahead = _begin_read(file, offset + len(data), end)
                yield Piece(offset, data)
                offset += len(data)
        finally:
            # The thread must not read from what gets the descriptor next.
            ahead.add_done_callback(lambda _: file.close())


def _open(path: Path) -> BinaryIO:
    file = path.open("rb")
    # The time of the last read: file systems are often mounted so that they do not keep it.
    os.utime(path)
    return file


def _by_age(root: Path) -> list[tuple[str, int]]:
    found = []
    for path in root.glob("[0-9a-f][0-9a-f]/*"):
        # It may have been deleted since the folder was read.
        with suppress(FileNotFoundError):
            stat = path.stat()
            found.append((stat.st_mtime_ns, path.name, stat.st_size))
    return [(sha256, size) for _, sha256, size in sorted(found)]


def _begin_read(file: BinaryIO, offset: int, end: int | None) -> asyncio.Future[bytes]:
    wanted = CHUNK_BYTES if end is None else max(0, min(CHUNK_BYTES, end - offset))
    return asyncio.get_running_loop().run_in_executor(None, read, file.fileno(), wanted, offset)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _prepare(root: Path) -> None:
    (root / "incoming").mkdir(parents=True, exist_ok=True)
    long_ago = time.time() - ABANDONED_AFTER.total_seconds()
    for leftover in (root / "incoming").glob(f"{_DOWNLOAD}*.part"):
        if leftover.stat().st_mtime < long_ago:
            leftover.unlink()
