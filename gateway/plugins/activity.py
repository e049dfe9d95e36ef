"""What goes on between the gateway and one process: calls under way, the last ones, the movement of streams."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from gateway.errors import GatewayError

KEPT_CALLS = 50
"""Last calls that a flight record shows: what led to a death is among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call that ended."""

    method: str
    milliseconds: float
    outcome: str
    """OK, or the reason of the error."""


class Activity:
    """The calls to one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = clock()
        self._under_way = 0
        self._calls: deque[tuple[str, float, str]] = deque(maxlen=KEPT_CALLS)
        """Method, seconds and outcome of each: a `Call` is made of them when somebody looks."""
        self.messages = 0
        """Messages of streams that came so far."""

    def begin(self) -> float:
        """Note that a call begins, and return when; `end` must follow."""
        self._under_way += 1
        return self._clock()

    def end(self, method: str, begun: float, error: BaseException | None) -> None:
        """Note how a call ended."""
        self._under_way -= 1
        self._since = self._clock()
        self._calls.append((method, self._since - begun, _outcome(error)))

    def idle_seconds(self) -> float:
        """Return for how long no call has been under way."""
        return 0.0 if self._under_way else self._clock() - self._since

    def calls(self) -> tuple[Call, ...]:
        """Return the last calls that ended, oldest first."""
        return tuple(
            Call(method=method, milliseconds=1000 * seconds, outcome=outcome)
            for method, seconds, outcome in self._calls
        )


def _outcome(error: BaseException | None) -> str:
    if error is None:
        return "OK"
    return error.reason.value if isinstance(error, GatewayError) else "CANCELLED"
