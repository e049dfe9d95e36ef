"""Signals to processes that tests did not start themselves."""

from __future__ import annotations

import os
from signal import Signals


def send(pid: int, number: Signals) -> None:
    """Signal a process that must be there: 0, which is told where none is, would be the whole group of the tests."""
    assert pid > 0, "there is no process at present"
    os.kill(pid, number)
