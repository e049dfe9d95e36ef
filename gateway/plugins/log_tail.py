"""Reads what a process prints into a file, because a pipe would break with its gateway."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path

from gateway.plugins.lines import MAX_KEPT_CHARS, LastLines, LineSplitter

POLL_SECONDS = 0.1
"""Between two looks: a person who follows the log does not notice."""
MAX_FILE_BYTES = 16 * 1024 * 1024
"""The file is emptied when all of it was read and it is larger."""
_READ_BYTES = 1024 * 1024


class LogTail:
    """Follows a file that grows."""

    def __init__(self, path: Path, lines: LastLines, *, from_end: bool = False) -> None:
        self._path = path
        self._lines = lines
        self._splitter = LineSplitter()
        self._offset = max(0, path.stat().st_size - MAX_KEPT_CHARS) if from_end and path.exists() else 0
        self._timer: asyncio.TimerHandle | None = None
        self.ended = asyncio.Event()
        self._look()

    def finish(self) -> None:
        """Read the rest and stop."""
        if self._timer is not None:
            self._timer.cancel()
        if not self.ended.is_set():
            while self._read():
                pass
            for line in self._splitter.flush():
                self._lines.add("output", line)
            self.ended.set()

    def _look(self) -> None:
        self._read()
        self._timer = asyncio.get_running_loop().call_later(POLL_SECONDS, self._look)

    def _read(self) -> bool:
        """Read a piece, and tell whether there may be more."""
        data = b""
        with suppress(OSError), self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read(_READ_BYTES)
            self._offset += len(data)
            if not data and self._offset > MAX_FILE_BYTES:
                # Whoever writes does so at the end, wherever that is.
                os.truncate(self._path, 0)
                self._offset = 0
        for line in self._splitter.feed(data):
            self._lines.add("output", line)
        return bool(data)
