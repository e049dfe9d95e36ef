"""Processor time of a process, finer than the kernel's clock ticks where the scheduler tells."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil


def processor_seconds(pid: int) -> float:
    """Return what the threads that a process has now have used so far."""
    tasks, nanoseconds = Path(f"/proc/{pid}/task"), 0
    if not (tasks / str(pid) / "schedstat").exists():
        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system)
    for task in tasks.iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that ended meanwhile
            nanoseconds += int((task / "schedstat").read_text().split()[0])
    return nanoseconds / 1e9
