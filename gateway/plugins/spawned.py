"""A process that the gateway itself started, by an exec."""

from __future__ import annotations

import subprocess
from collections.abc import Callable


class Spawned:
    """A child of the gateway's, which nobody else can collect."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid

    def is_itself(self) -> bool:
        """Tell that it is until it is collected."""
        return True

    def has_ended(self) -> bool:
        """Whether it has."""
        return self._process.poll() is not None

    def collect(self, tell: Callable[[int | None], None]) -> None:
        """Collect it, and tell its exit code."""
        tell(self._process.wait())

    def undo(self) -> None:
        """Kill and collect it."""
        self._process.kill()
        self._process.wait()
