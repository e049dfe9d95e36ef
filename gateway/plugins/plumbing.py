"""The pipes of a process that is about to be launched."""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from gateway.plugins.lines import LastLines
from gateway.plugins.log_tail import LogTail
from gateway.plugins.pipes import HandshakePipe, LogPipe
from gateway.plugins.process import Pipes

Ends = tuple[int, int, int, int]
"""What a process gets as its descriptors 0 to 3."""


class Plumbing:
    """Both ends of each pipe. Within the block; what nobody has taken by its end is closed."""

    def __init__(self, log_file: Path | None) -> None:
        """Prepare the pipes.

        Args:
            log_file: Where the process prints to; None = into pipes.

        """
        self._log_file = log_file
        self._theirs, self._ours = ExitStack(), ExitStack()

    def __enter__(self) -> Self:
        """Lay the pipes.

        Raises:
            OSError: There are no more descriptors, or the file cannot be opened.

        """
        try:
            self._lay()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._theirs.close()
        self._ours.close()

    def hand_over(self) -> None:
        """Close the process's ends, now that it has them: no pipe would end with it otherwise."""
        self._theirs.close()

    async def connect(self, lines: LastLines) -> Pipes:
        """Begin to read what the process says; the pipes are the caller's from then on."""
        handshake = HandshakePipe()
        pipes = tuple(LogPipe(name, lines) for name in ("stdout", "stderr")[: len(self._logs)])
        with ExitStack() as undo:
            transports = []
            for pipe, end in zip((handshake, *pipes), (self._handshake, *self._logs), strict=True):
                transports.append(await _read(pipe, end))
                undo.callback(transports[-1].close)
            undo.pop_all()
        self._ours.pop_all()
        logs = pipes if self._log_file is None else (LogTail(self._log_file, lines),)
        return Pipes(self._stdin, handshake, logs, tuple(transports))

    def _lay(self) -> None:
        reader, writer = os.pipe()
        stdin, self._stdin = self._their(reader), self._our(writer, "wb")
        handshake, self._handshake = self._outlet()
        if self._log_file is None:
            (stdout, out), (stderr, err) = self._outlet(), self._outlet()
            self._logs: tuple[IO[bytes], ...] = (out, err)
        else:
            stdout = stderr = self._their(_open_log(self._log_file))
            self._logs = ()
        self.ends: Ends = (stdin, stdout, stderr, handshake)

    def _outlet(self) -> tuple[int, IO[bytes]]:
        reader, writer = os.pipe()
        return self._their(writer), self._our(reader, "rb")

    def _their(self, end: int) -> int:
        self._theirs.callback(os.close, end)
        return end

    def _our(self, end: int, mode: str) -> IO[bytes]:
        return self._ours.enter_context(os.fdopen(end, mode, buffering=0))


async def _read(pipe: asyncio.Protocol, end: IO[bytes]) -> asyncio.BaseTransport:
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: pipe, end)
    return transport


def _open_log(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
