"""How fast a training is, and how long it will take."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """Measure steps and tokens over the time that was spent training."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Args: clock: gives seconds; replaced in tests."""
        self._clock = clock
        self._started = self._marked = clock()
        self._first_step = self._total_steps = 0
        self._tokens = 0.0

    def start(self, step: int, total_steps: int) -> None:
        """Begin to measure behind the steps that an earlier run has done."""
        self._started = self._marked = self._clock()
        self._first_step, self._total_steps = step, total_steps

    def tokens_per_second(self, tokens: float) -> float:
        """Give the speed since the last call, from the count of all tokens so far."""
        now = self._clock()
        seconds, new = now - self._marked, tokens - self._tokens
        self._marked, self._tokens = now, tokens
        return new / seconds if seconds > 0 else 0.0

    def pause_over(self) -> None:
        """Do not count the time since the last mark, which went into something else."""
        self._marked = self._clock()

    def remaining_seconds(self, step: int) -> float | None:
        """Estimate the rest from the average step of this run; None before the first step."""
        done = step - self._first_step
        if done <= 0:
            return None
        return (self._clock() - self._started) / done * max(0, self._total_steps - step)
