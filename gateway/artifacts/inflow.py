"""Bytes on their way into a part file: readers have them at once, and they are written and hashed behind.

One write is under way at a time, in a thread; what comes meanwhile waits for the next. What waits is among the recent
pieces, so that a reader need not wait for it to be written.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from gateway.artifacts.model import CHUNK_BYTES, Piece
from gateway.artifacts.part import Part

WRITE_BYTES = 1024 * 1024
"""Collected for one write: the way into a thread and back costs as much as writing 250 KiB."""

WRITE_PIECES = 16
"""Collected for one write however small they are: what a kill can cost is small on a slow line, too."""

MOST_UNWRITTEN_BYTES = 2 * 1024 * 1024
"""Behind the write that is under way; a disk that is slower than the platform slows the download down."""

RECENT_BYTES = 4 * 1024 * 1024
"""What readers near the end are given out of memory; others read the file."""

RECENT_PIECES = 2 * WRITE_PIECES
"""However small they are: they are looked through one by one."""


class Inflow:
    """What one download has brought so far."""

    def __init__(self, part: Part, tell: Callable[[], None]) -> None:
        """Append to an open part file; `tell` is called whenever more of it can be read."""
        self.size = part.size
        """All that came, whether it is written or not."""
        self._part = part
        self._tell = tell
        self._recent: deque[Piece] = deque()
        self._recent_bytes = 0
        self._unwritten: list[bytes] = []
        self._unwritten_bytes = 0
        self._writing: asyncio.Future[None] | None = None
        self._fault: BaseException | None = None

    async def take(self, data: bytes) -> None:
        """Add bytes; waits while too many are not written.

        Raises:
            StorageFull: The disk is full or not writable; the file is no longer of use.
        """
        self._remember(Piece(self.size, data))
        self.size += len(data)
        self._unwritten.append(data)
        self._unwritten_bytes += len(data)
        if self._unwritten_bytes >= WRITE_BYTES or len(self._unwritten) >= WRITE_PIECES:
            self._write_on()
        self._tell()
        while self._writing and self._unwritten_bytes > MOST_UNWRITTEN_BYTES:
            await asyncio.wait([self._writing])
        self._raise_fault()

    async def flush(self) -> None:
        """Wait until all is written.

        Raises:
            StorageFull: The disk is full or not writable; the file is no longer of use.
        """
        self._write_on()
        while self._writing:
            await asyncio.wait([self._writing])
            self._write_on()
        self._raise_fault()

    async def read(self, offset: int, end: int | None) -> bytes:
        """Return bytes from an offset on, up to an end or not; none = they are still to come, or to be written."""
        most = CHUNK_BYTES if end is None else min(CHUNK_BYTES, end - offset)
        for piece in reversed(self._recent):
            if piece.offset <= offset < piece.offset + len(piece.data):
                return piece.data[offset - piece.offset :][:most]
        most = min(most, self._part.size - offset)
        return await asyncio.to_thread(self._part.read, offset, most) if most > 0 else b""

    def _remember(self, piece: Piece) -> None:
        self._recent.append(piece)
        self._recent_bytes += len(piece.data)
        while self._recent_bytes > RECENT_BYTES or len(self._recent) > RECENT_PIECES:
            self._recent_bytes -= len(self._recent.popleft().data)

    def _write_on(self) -> None:
        if self._writing or self._fault or not self._unwritten:
            return
        pieces, self._unwritten, self._unwritten_bytes = self._unwritten, [], 0
        self._writing = asyncio.get_running_loop().run_in_executor(None, self._part.write, pieces)
        self._writing.add_done_callback(self._wrote)

    def _wrote(self, writing: asyncio.Future[None]) -> None:
        self._writing = None
        self._fault = writing.exception()
        if self._unwritten_bytes >= WRITE_BYTES or len(self._unwritten) >= WRITE_PIECES:
            self._write_on()
        self._tell()

    def _raise_fault(self) -> None:
        if self._fault:
            raise self._fault
