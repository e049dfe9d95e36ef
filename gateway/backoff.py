"""How long to wait before something that failed is tried again."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Double a delay from try to try up to a cap, and spread the tries of many by chance."""

    first_seconds: float
    cap_seconds: float
    _next: float = 0.0

    def next_seconds(self) -> float:
        """Return the next delay: half of it fixed, half by chance."""
        self._next = min(self._next * 2 or self.first_seconds, self.cap_seconds)
        return self._next * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Start again with the first delay, after something went well."""
        self._next = 0.0
