"""Leaves a platform alone that fails again and again, and tries with one call whether it is back.

CLOSED → OPEN after `FAILURES` failures in a row over at least `SPAN_SECONDS`; OPEN → half-open when its time is over:
one call goes through; its success closes, its failure opens for twice the time. A cancel always goes through.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from gateway.errors import GatewayError, Reason

FAILURES = 5
"""Failures in a row that open it."""

SPAN_SECONDS = 3.0
"""They must be spread over so much time: eight looks that fail together are one failure."""

OPEN_FIRST_SECONDS = 10.0
OPEN_CAP_SECONDS = 120.0
"""How long the platform is left alone the first time, doubling up to the most."""

FATAL = frozenset({Reason.PLATFORM_UNAVAILABLE, Reason.PLATFORM_TIMEOUT})
"""Reasons that say that the platform itself is down."""


class Breaker:
    """One connection's breaker."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures = 0
        self._first_at = 0.0
        self._last = ""
        self._open_seconds = 0.0
        self._open_until: float | None = None
        self._is_probing = False

    @property
    def words(self) -> str:
        """What people are told; empty = it is closed."""
        if self._open_until is None:
            return ""
        return (
            f"the platform failed {FAILURES} times or more in a row, last with {self._last}; it is left alone a while"
        )

    def enter(self, *, may_probe: bool) -> bool:
        """Let a call through, or refuse it.

        Returns:
            Whether the call is the one that tries whether the platform is back; `leave` must follow.

        Raises:
            GatewayError: PLATFORM_UNAVAILABLE, with the time after which to try again; the platform was not called.

        """
        if self._open_until is None:
            return False
        left = self._open_until - self._clock()
        if left <= 0 and may_probe and not self._is_probing:
            self._is_probing = True
            return True
        error = GatewayError(
            self.words, reason=Reason.PLATFORM_UNAVAILABLE, retry_after=timedelta(seconds=max(left, 1.0))
        )
        error.is_unsent = True
        raise error

    def leave(self, *, is_probe: bool) -> None:
        """Take note that a call is over, however it ended."""
        if is_probe:
            self._is_probing = False

    def succeeded(self) -> None:
        """Close: the platform answered."""
        self._failures, self._open_seconds, self._open_until = 0, 0.0, None

    def failed(self, error: GatewayError) -> None:
        """Count a failure of the platform itself, and open where it is one too many."""
        now = self._clock()
        self._first_at = self._first_at if self._failures else now
        self._failures += 1
        is_open = self._open_until is not None
        if is_open and now < (self._open_until or 0):
            return
        if is_open or (self._failures >= FAILURES and now - self._first_at >= SPAN_SECONDS):
            # While it is open people see one cause, not one after the other.
            self._last = self._last if is_open else f"{error.reason}: {error.message}"
            self._open_seconds = min(self._open_seconds * 2 or OPEN_FIRST_SECONDS, OPEN_CAP_SECONDS)
            self._open_until = now + self._open_seconds
