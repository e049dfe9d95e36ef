"""One process of a connector, seen from outside: its pipes, its end, and how to end it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from dataclasses import dataclass
from datetime import timedelta
from typing import IO, Protocol

from gateway.plugins.exit_watch import ExitWatch
from gateway.plugins.kin import kill_session
from gateway.plugins.lines import LastLines
from gateway.plugins.log_tail import LogTail
from gateway.plugins.pipes import HandshakePipe, LogPipe


class Body(Protocol):
    """A process of a connector, launched by this gateway or by an earlier one."""

    pid: int
    returncode: int | None
    """None while it lives, and where nobody can tell; negative = the signal that ended it."""
    exited: asyncio.Event
    lines: LastLines

    async def handshake(self, limit: timedelta) -> bytes:
        """Return the handshake's line, or nothing."""
        ...

    async def gone(self, limit: timedelta) -> bool:
        """Wait for the end, and tell whether it came."""
        ...

    def cut_lifeline(self) -> None:
        """Let the process know that nobody wants it."""
        ...

    def signal_group(self, number: signal.Signals) -> None:
        """Signal the process and its group."""
        ...

    def signal_alone(self, number: signal.Signals) -> None:
        """Signal the process and nobody else."""
        ...

    async def last_words(self, limit: timedelta) -> None:
        """Wait until all that a dead process printed is there."""
        ...

    async def close(self) -> None:
        """Close what connects it with the gateway."""
        ...


@dataclass(frozen=True, slots=True)
class Pipes:
    """What connects a process with the gateway, besides its socket."""

    stdin: IO[bytes]
    """The lifeline."""
    handshake: HandshakePipe
    logs: tuple[LogPipe | LogTail, ...]
    transports: tuple[asyncio.BaseTransport, ...]


class Child:
    """A launched process. It leads a session and a process group of its own."""

    def __init__(self, process: subprocess.Popen[bytes], pipes: Pipes, lines: LastLines) -> None:
        self._process = process
        self._pipes = pipes
        self.lines = lines
        self.pid = process.pid
        self.returncode: int | None = None
        """None while it lives; negative = the signal that ended it."""
        self.exited = asyncio.Event()
        self._watch = ExitWatch(process.pid, lambda: process.poll() is not None, self._on_exit)

    async def handshake(self, limit: timedelta) -> bytes:
        """Return the handshake's line, or nothing where the process closed the pipe or let the time pass."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit.total_seconds()):
                await self._pipes.handshake.ended.wait()
        return self._pipes.handshake.line

    async def gone(self, limit: timedelta) -> bool:
        """Wait for the end, and tell whether it came."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit.total_seconds()):
                await self.exited.wait()
        return self.exited.is_set()

    def cut_lifeline(self) -> None:
        """Close the process's stdin."""
        self._pipes.stdin.close()

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to the process and to all that it started and left in its group.

        Does nothing after the process was reaped: its number may be somebody else's by then.
        """
        if self.returncode is None:
            # EPERM is macOS's way to say that all of the group are zombies.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def signal_alone(self, number: signal.Signals) -> None:
        """Signal the process and nobody else."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def last_words(self, limit: timedelta) -> None:
        """Wait until all that a dead process printed is there."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit.total_seconds()):
                for log in self._pipes.logs:
                    await log.ended.wait()

    async def close(self) -> None:
        """Close the pipes."""
        self.cut_lifeline()
        for transport in self._pipes.transports:
            transport.close()
        for log in self._pipes.logs:
            await log.ended.wait()
        self._watch.close()

    def _on_exit(self) -> None:
        # Still a zombie: the group's number cannot be anybody else's yet.
        self.signal_group(signal.SIGKILL)
        kill_session(self.pid)
        self.returncode = self._process.wait()
        for log in self._pipes.logs:
            if isinstance(log, LogTail):
                log.finish()
        self.exited.set()
