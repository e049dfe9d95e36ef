"""A process that an earlier gateway launched: no child of ours, so that it is signalled only while it proves itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from datetime import timedelta

from gateway.plugins.exit_watch import ExitWatch
from gateway.plugins.identity import Identity, identify
from gateway.plugins.kin import kill_session
from gateway.plugins.lines import LastLines
from gateway.plugins.log_tail import LogTail


class AdoptedProcess:
    """A process that was taken over. It leads a session and a process group of its own."""

    def __init__(self, identity: Identity, lines: LastLines, tail: LogTail) -> None:
        self.lines = lines
        self.pid = identity.pid
        self.returncode: int | None = None
        """Only its parent could know."""
        self.exited = asyncio.Event()
        self._identity = identity
        self._tail = tail
        self._watch = ExitWatch(identity.pid, lambda: not identity.is_alive(), self._on_exit)
        if not identity.is_alive():
            # It ended while the watch was made, which may watch another process.
            self._watch.close()
            self._on_exit()

    async def handshake(self, limit: timedelta) -> bytes:
        """Return nothing: its handshake went to an earlier gateway."""
        return b""

    async def gone(self, limit: timedelta) -> bool:
        """Wait for the end, and tell whether it came."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit.total_seconds()):
                await self.exited.wait()
        return self.exited.is_set()

    def cut_lifeline(self) -> None:
        """Do nothing: its lifeline is a call, which ends with the channel."""

    def signal_group(self, number: signal.Signals) -> None:
        """Signal the process and its group, if it is still this process."""
        if self._identity.is_alive():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def signal_alone(self, number: signal.Signals) -> None:
        """Signal the process, if it is still this process."""
        if self._identity.is_alive():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, number)

    async def last_words(self, limit: timedelta) -> None:
        """Do nothing: what it printed is in its file."""

    async def close(self) -> None:
        """Stop reading what it prints."""
        self._tail.finish()
        self._watch.close()

    def _on_exit(self) -> None:
        if identify(self.pid) is None:
            kill_session(self.pid)
        self._tail.finish()
        self.exited.set()


class AuthorsProcess:
    """A process that its author started by hand: nothing is known of it, and nothing is done to it."""

    def __init__(self, lines: LastLines) -> None:
        self.lines = lines
        self.pid = 0
        self.returncode: int | None = None
        self.exited = asyncio.Event()

    async def handshake(self, limit: timedelta) -> bytes:
        """Return nothing."""
        return b""

    async def gone(self, limit: timedelta) -> bool:
        """Tell that its end is not waited for."""
        return True

    def cut_lifeline(self) -> None:
        """Do nothing."""

    def signal_group(self, number: signal.Signals) -> None:
        """Do nothing."""

    def signal_alone(self, number: signal.Signals) -> None:
        """Do nothing."""

    async def last_words(self, limit: timedelta) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""
