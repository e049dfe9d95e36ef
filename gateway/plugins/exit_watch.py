"""Notices a process's end within a millisecond, and before anybody else can have its number."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable

POLL_SECONDS = 0.02
"""Where the kernel has no pidfd: short against the 50 ms within which a death is to be noticed."""


class ExitWatch:
    """Calls back once when a process has ended and before it is reaped.

    `asyncio`'s own `Process.wait()` would also wait until every grandchild has closed the pipes.
    """

    def __init__(self, pid: int, has_ended: Callable[[], bool], on_exit: Callable[[], None]) -> None:
        """Begin to watch.

        Args:
            pid: The process.
            has_ended: Tells whether it has, where the kernel does not tell of it by itself.
            on_exit: Called once.

        """
        self._has_ended = has_ended
        self._on_exit = on_exit
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._pidfd = _open_pidfd(pid)
        if self._pidfd is None:
            self._poll()
        else:
            self._loop.add_reader(self._pidfd, self._ended)

    def close(self) -> None:
        """Stop watching."""
        if self._timer is not None:
            self._timer.cancel()
        if self._pidfd is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None

    def _poll(self) -> None:
        if self._has_ended():
            self._on_exit()
        else:
            self._timer = self._loop.call_later(POLL_SECONDS, self._poll)

    def _ended(self) -> None:
        self.close()
        self._on_exit()


def _open_pidfd(pid: int) -> int | None:
    if sys.platform != "linux":
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None
