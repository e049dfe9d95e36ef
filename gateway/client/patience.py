"""How long to go on trying, and how long to wait between two tries."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

DEFAULT_GIVE_UP_AFTER = timedelta(minutes=5)
"""Longer than a gateway's restart or upgrade, shorter than anybody's patience with a dead one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Exponential backoff with full jitter, so that many clients do not come back at the same moment."""

    first_seconds: float = 0.2
    """Upper end of the first delay; a local gateway is back within about a second."""
    cap_seconds: float = 10.0
    """Upper end of all later delays."""

    def delay(self, failures: int, draw: Callable[[], float]) -> float:
        """Return the seconds to wait after so many failures in a row; `draw` gives a number from 0 to 1."""
        doublings = min(failures - 1, 32)
        return draw() * min(self.cap_seconds, self.first_seconds * 2.0**doublings)


class Patience:
    """Counts failures since the last success and says when to try again, or that it is enough."""

    def __init__(
        self,
        now: Callable[[], float],
        *,
        give_up_after: timedelta = DEFAULT_GIVE_UP_AFTER,
        backoff: Backoff | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.give_up_after = give_up_after
        self._now = now
        self._backoff = backoff or Backoff()
        self._draw = draw
        self._failures = 0
        self._last_success = now()

    def succeeded(self) -> None:
        """Note that something arrived."""
        self._failures = 0
        self._last_success = self._now()

    def next_delay(self, retry_after: timedelta | None = None) -> float | None:
        """Note a failure and return the seconds to wait, at least `retry_after`; None = give up."""
        self._failures += 1
        remaining = self.give_up_after.total_seconds() - (self._now() - self._last_success)
        at_least = retry_after.total_seconds() if retry_after else 0.0
        if remaining <= 0 or at_least > remaining:
            return None

        return min(max(at_least, self._backoff.delay(self._failures, self._draw)), remaining)
