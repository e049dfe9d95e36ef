"""Finds what a process started and left in its session, also outside its group."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path


def kill_session(session: int) -> None:
    """Kill all processes of a session but its leader.

    The caller makes sure that the session's number is still the one that is meant: its leader lives or is a zombie, or
    nobody has its number.
    """
    for entry in Path("/proc").glob("[0-9]*"):
        pid = int(entry.name)
        with contextlib.suppress(OSError):
            if pid != session and os.getsid(pid) == session:
                os.kill(pid, signal.SIGKILL)
