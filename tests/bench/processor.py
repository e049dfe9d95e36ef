"""Processor time of a process, finer than the kernel's clock ticks where the scheduler tells."""

from __future__ import annotations

import asyncio
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


REST = 0.05
"""Share of a core below which a process disturbs nobody."""
REST_SECONDS = 0.05
REST_LIMIT_SECONDS = 20.0


async def at_rest(pid: int) -> None:
    """Wait until a process has next to nothing more to do, so that whoever is measured next is not slowed by it."""
    async with asyncio.timeout(REST_LIMIT_SECONDS):
        used = processor_seconds(pid)
        while True:
            await asyncio.sleep(REST_SECONDS)
            before, used = used, processor_seconds(pid)
            if used - before < REST * REST_SECONDS:
                return
