"""Keeps one connection's calls within what its platform allows, the most important ones first.

Of the calls that a minute may have, each priority may use a share, so that there is always something left for what is
more important: looks and price lists never starve a user, and nothing keeps a cancel waiting. What platforms answer
themselves (429 with or without Retry-After) pauses all but cancels.
"""

from __future__ import annotations

import asyncio
import bisect
import itertools
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

from gateway.broadcast import Broadcast
from gateway.errors import GatewayError, Reason, RemoteError
from gateway.plugins.breaker import FATAL, Breaker
from gateway.priority import Priority

WINDOW_SECONDS = 60.0
"""What `requests_per_minute` is counted over: at no time are there more calls in the last minute."""

SHARES = {
    Priority.CANCEL: 1.0,
    Priority.SUBMIT: 0.95,
    Priority.READ: 0.9,
    Priority.POLL: 0.6,
    Priority.CATALOG: 0.5,
}
"""Share of a minute's calls that each priority may use, with all that are more important."""

PAUSE_FIRST = timedelta(seconds=1)
PAUSE_CAP = timedelta(minutes=2)
"""Pause after a 429 that does not say how long; it doubles while they go on."""

PAUSE_MOST = timedelta(hours=1)
"""The longest pause that a platform can ask for."""

Note = Callable[[str], Awaitable[None]]


async def _nobody(_: str) -> None:
    return


class Traffic:
    """One connection's calls, those under way and those that wait."""

    def __init__(self, note: Note = _nobody, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing sent.

        Args:
            note: Told when the platform begins to be left alone, and with an empty text when it answers again.
            clock: Seconds of a clock that never goes back.

        """
        self.breaker = Breaker(clock)
        self._note = note
        self._clock = clock
        self._sent: deque[float] = deque()
        self._waiting: list[tuple[Priority, int]] = []
        self._numbers = itertools.count()
        self._paused_until = 0.0
        self._pause = timedelta(0)
        self._changed = Broadcast()
        self._told: str | None = None
        """What was noted last; None = nothing yet, and an earlier gateway may have left something."""

    def is_free(self, per_minute: int) -> bool:
        """Whether a call may be made at once and need not be counted, as nearly every one."""
        return not (per_minute or self._waiting or self._clock() < self._paused_until)

    async def admit(self, priority: Priority, per_minute: int, seconds: float | None) -> None:
        """Wait until a call may be made, and count it.

        Args:
            priority: How important it is.
            per_minute: Calls a minute that the platform allows; 0 = not limited.
            seconds: How long to wait at most; None = as long as it takes.

        Raises:
            GatewayError: RATE_LIMITED: its time would not come within `seconds`; the platform was not called.

        """
        if self.is_free(per_minute):
            return
        ticket = (priority, next(self._numbers))
        deadline = None if seconds is None else self._clock() + seconds
        bisect.insort(self._waiting, ticket)
        try:
            while (delay := self._delay(ticket, per_minute)) > 0:
                if deadline is not None and self._clock() + delay > deadline:
                    raise _too_late(per_minute, delay)
                await self._changes(delay)
            if per_minute:
                self._sent.append(self._clock())
        finally:
            self._waiting.remove(ticket)
            self._changed.notify()

    def limited(self, retry_after: timedelta | None) -> timedelta:
        """Pause after a 429, and return for how long."""
        self._pause = min(self._pause * 2 or PAUSE_FIRST, PAUSE_CAP)
        pause = min(retry_after, PAUSE_MOST) if retry_after else self._pause
        self._paused_until = max(self._paused_until, self._clock() + pause.total_seconds())
        return pause

    async def succeeded(self) -> None:
        """Take note that the platform answered."""
        self._pause = timedelta(0)
        self.breaker.succeeded()
        await self._tell()

    async def failed(self, error: GatewayError) -> None:
        """Take note of how a call failed."""
        is_own = error.is_unsent and not isinstance(error, RemoteError)
        if is_own or error.reason is Reason.CONNECTOR_DOWN:
            return
        if error.reason in FATAL:
            self.breaker.failed(error)
        else:
            # Whatever it says, it answers.
            self.breaker.succeeded()
        await self._tell()

    def _delay(self, ticket: tuple[Priority, int], per_minute: int) -> float:
        """Return for how long a call has to wait for certain; 0 = it may go."""
        now, priority = self._clock(), ticket[0]
        if priority is not Priority.CANCEL and now < self._paused_until:
            return self._paused_until - now
        if not per_minute:
            return 0.0
        while self._sent and self._sent[0] <= now - WINDOW_SECONDS:
            self._sent.popleft()
        allowed = max(1, int(per_minute * SHARES[priority]))
        used = len(self._sent)
        if used >= allowed:
            return max(self._sent[used - allowed] + WINDOW_SECONDS - now, 0.001)
        # One that came earlier, or is more important, goes in this very turn of the loop.
        return 0.0 if self._waiting[0] == ticket else 0.001

    async def _changes(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.ticket().wait()

    async def _tell(self) -> None:
        if (words := self.breaker.words) != self._told:
            self._told = words
            await self._note(words)


def _too_late(per_minute: int, delay: float) -> GatewayError:
    limit = f"{per_minute} calls a minute" if per_minute else "fewer calls"
    error = GatewayError(
        f"the platform allows {limit}, and this one's turn would come in {delay:.0f} s; try again then",
        reason=Reason.RATE_LIMITED,
        retry_after=timedelta(seconds=delay),
    )
    error.is_unsent = True
    return error
