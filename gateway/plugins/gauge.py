"""Measures a process at each health call: its memory as a curve, and whether it computes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import psutil

KEPT_SAMPLES = 120
"""Ten minutes of them at one in 5 s: a leak's slope shows."""
BUSY_SHARE = 0.05
"""Of one processor: an idle gRPC server takes a hundredth of that."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement."""

    seconds: float
    """Since the process was launched."""
    memory_bytes: int
    cpu_seconds: float


class Gauge:
    """The measurements of one process."""

    def __init__(self, pid: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._pid = pid
        self._clock = clock
        self._begun = clock()
        self._samples: deque[Sample] = deque(maxlen=KEPT_SAMPLES)
        self.sample()

    def sample(self) -> bool:
        """Measure, and tell whether the process has computed since the last time."""
        found = measure(self._pid)
        last = self._samples[-1] if self._samples else None
        if found is None:
            return False
        now = Sample(self._clock() - self._begun, *found)
        self._samples.append(now)
        passed = now.seconds - last.seconds if last else 0.0
        return last is not None and passed > 0 and (now.cpu_seconds - last.cpu_seconds) / passed >= BUSY_SHARE

    def curve(self) -> tuple[Sample, ...]:
        """Return the last samples, oldest first."""
        return tuple(self._samples)

    @property
    def memory_bytes(self) -> int:
        """The last that was measured."""
        return self._samples[-1].memory_bytes if self._samples else 0


def measure(pid: int) -> tuple[int, float] | None:
    """Return a process's resident memory and processor time; None where it has just ended."""
    if not pid:
        return None
    try:
        process = psutil.Process(pid)
        times = process.cpu_times()
        return process.memory_info().rss, times.user + times.system
    except psutil.Error:
        return None
