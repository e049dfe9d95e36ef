"""How SIGTERM and SIGINT end a training.

Until training begins there is nothing worth keeping: the process leaves at once. While it trains, the step in
hand is finished and a checkpoint is written; while it evaluates, the evaluation is dropped. While it saves, the
signal changes nothing, because the artifacts are about to be whole.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType


class Interruption:
    """Remember that a signal came, and leave at once while nothing would be lost."""

    def __init__(self, leave: Callable[[], None]) -> None:
        """Args: leave: ends the process; it runs inside a signal handler and must not return."""
        self._leave = leave
        self._may_leave_at_once = True
        self.requested = False

    def listen(self) -> None:
        """Take over SIGTERM and SIGINT; must be called in the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def finish_steps_first(self) -> None:
        """From now on leave it to the training to stop at the end of a step."""
        self._may_leave_at_once = False

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        if self._may_leave_at_once:
            self._leave()


def say(text: str) -> None:
    """Write one line to stdout in a way that is safe in a signal handler."""
    os.write(1, text.encode() + b"\n")
