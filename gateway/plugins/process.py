"""One process of a connector, seen from outside: its pipes, its end, and how to end it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
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


class Birth(Protocol):
    """How a process came to be, which says who may collect it when it has ended."""

    pid: int

    def is_itself(self) -> bool:
        """Whether nobody else can have its number; only then may it be signalled."""
        ...

    def has_ended(self) -> bool:
        """Whether it has, where the kernel does not tell of it by itself."""
        ...

    def collect(self, tell: Callable[[int | None], None]) -> None:
        """Collect it, as it has ended, and tell its exit code; None = nobody knows it any more."""
        ...

    def undo(self) -> None:
        """Kill and collect it, as nobody will look after it."""
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

    def __init__(self, birth: Birth, pipes: Pipes, lines: LastLines) -> None:
        self._birth = birth
        self._pipes = pipes
        self.lines = lines
        self.pid = birth.pid
        self.returncode: int | None = None
        """None while it lives, and where nobody can tell; negative = the signal that ended it."""
        self.exited = asyncio.Event()
        self._watch = ExitWatch(birth.pid, birth.has_ended, self._on_exit)

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
        if not self._may_signal():
            return
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            # It was forked this moment, and leads no group yet.
            self.signal_alone(number)
        except PermissionError:
            # macOS's way to say that all of the group are zombies.
            return

    def signal_alone(self, number: signal.Signals) -> None:
        """Signal the process and nobody else."""
        if self._may_signal():
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

    def _may_signal(self) -> bool:
        return not self.exited.is_set() and self._birth.is_itself()

    def _on_exit(self) -> None:
        if self._may_signal():
            # Still a zombie: the group's number cannot be anybody else's yet.
            self.signal_group(signal.SIGKILL)
            kill_session(self.pid)
        self._birth.collect(self._on_collected)

    def _on_collected(self, returncode: int | None) -> None:
        self.returncode = returncode
        for log in self._pipes.logs:
            if isinstance(log, LogTail):
                log.finish()
        self.exited.set()
