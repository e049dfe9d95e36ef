"""Reads the pipes of a connector's process."""

from __future__ import annotations

import asyncio

from gateway.plugins.handshake import MAX_HANDSHAKE_BYTES
from gateway.plugins.lines import LastLines, LineSplitter


class LogPipe(asyncio.Protocol):
    """Takes whatever a process prints, at once and always: a full pipe would stop the process."""

    def __init__(self, stream: str, lines: LastLines) -> None:
        self._stream = stream
        self._lines = lines
        self._splitter = LineSplitter()
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        """Take a chunk."""
        for line in self._splitter.feed(data):
            self._lines.add(self._stream, line)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the rest."""
        for line in self._splitter.flush():
            self._lines.add(self._stream, line)
        self.ended.set()


class HandshakePipe(asyncio.Protocol):
    """Takes the one line that a process writes on descriptor 3."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.ended = asyncio.Event()

    @property
    def line(self) -> bytes:
        """The line; empty where the pipe was closed without one."""
        head, newline, _ = bytes(self._buffer).partition(b"\n")
        return head if newline else b""

    def data_received(self, data: bytes) -> None:
        """Take a chunk."""
        self._buffer += data[: MAX_HANDSHAKE_BYTES - len(self._buffer)]
        if b"\n" in data or len(self._buffer) >= MAX_HANDSHAKE_BYTES:
            self.ended.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        self.ended.set()
