"""What goes on between the gateway and one process: calls under way, the last ones, the movement of streams."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
        self._calls: deque[Call] = deque(maxlen=KEPT_CALLS)
        self.messages = 0
        """Messages of streams that came so far."""

    @contextmanager
    def call(self, method: str) -> Iterator[None]:
        """Note a call for as long as the block is entered."""
        begun, outcome = self._clock(), "OK"
        self._under_way += 1
        try:
            yield
        except GatewayError as error:
            outcome = error.reason.value
            raise
        except BaseException:
            outcome = "CANCELLED"
            raise
        finally:
            self._under_way -= 1
            self._since = self._clock()
            self._calls.append(Call(method=method, milliseconds=1000 * (self._since - begun), outcome=outcome))

    def idle_seconds(self) -> float:
        """Return for how long no call has been under way."""
        return 0.0 if self._under_way else self._clock() - self._since

    def calls(self) -> tuple[Call, ...]:
        """Return the last calls that ended, oldest first."""
        return tuple(self._calls)
