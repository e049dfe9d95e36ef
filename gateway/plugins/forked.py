"""A process that a template forked: no child of the gateway's, so that its number is proven before it is used."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from gateway.plugins.identity import identify


class Parent(Protocol):
    """Who forked it."""

    def reap(self, pid: int, tell: Callable[[int | None], None]) -> None:
        """Collect a process that has ended, and tell its exit code; None = nobody knows it any more."""
        ...


class Forked:
    """A child of a template's. It stays a zombie until the gateway asks for its exit code, if the template lives."""

    def __init__(self, pid: int, parent: Parent) -> None:
        self.pid = pid
        self._parent = parent
        self._identity = identify(pid)
        """None = it has ended already."""

    def is_itself(self) -> bool:
        """Whether nobody else has its number; a zombie has it, and so has a session that it has left behind."""
        return identify(self.pid) in (None, self._identity)

    def has_ended(self) -> bool:
        """Whether it has."""
        return self._identity is None or not self._identity.is_alive()

    def collect(self, tell: Callable[[int | None], None]) -> None:
        """Have it collected by the template, and tell its exit code."""
        self._parent.reap(self.pid, tell)

    def undo(self) -> None:
        """Kill it, and have it collected."""
        if self.is_itself():
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self._parent.reap(self.pid, lambda code: None)
