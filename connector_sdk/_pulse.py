"""Notice when the event loop is blocked: ping it from another thread, and say which line holds it up."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from connector_sdk._stacks import where

logger = logging.getLogger(__name__)

BEAT_SECONDS = 0.5  # between two pings: each wakes an idle process twice
NOTICED_SECONDS = 1.0  # a loop that is silent for longer is worth a line in the log
BLOCKED_SECONDS = 2.0  # the protocol's limit: a loop that is silent for longer does not serve
OVERSLEPT_SECONDS = 1.0  # a thread that wakes so late has not been able to look


class Pulse:
    """Ping an event loop, and know for how long it has not answered."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float] = time.monotonic) -> None:
        """Ping `loop`, which is the calling thread's."""
        self.thread_id = threading.get_ident()
        """The thread that the loop runs in."""
        self._loop = loop
        self._clock = clock
        self._asked_at: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether there is no loop any more."""
        return self._loop.is_closed()

    def beat(self) -> None:
        """Ping, unless a ping is still unanswered; raises `RuntimeError` once the loop is closed."""
        if self._asked_at is None:
            self._asked_at = self._clock()
            self._loop.call_soon_threadsafe(self._answer)

    def forgive(self) -> None:
        """Measure from now on."""
        if self._asked_at is not None:
            self._asked_at = self._clock()

    def silent_seconds(self) -> float:
        """Say for how long a ping has been unanswered."""
        asked_at = self._asked_at
        return 0.0 if asked_at is None else self._clock() - asked_at

    def _answer(self) -> None:
        self._asked_at = None


class Watchdog:
    """Look at a pulse, tell who wants to know whether it is there, and log each time that it stops."""

    def __init__(self, pulse: Pulse, tell: Callable[[bool], None], clock: Callable[[], float] = time.monotonic) -> None:
        """Call `tell(is_answering)` whenever that changes."""
        self._pulse = pulse
        self._tell = tell
        self._clock = clock
        self._looked_at = clock()
        self._is_noticed = False
        self._is_blocked = False

    def start(self) -> None:
        """Look from a thread, as long as there is a loop."""
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def look(self) -> None:
        """Look once."""
        now = self._clock()
        if now - self._looked_at > OVERSLEPT_SECONDS:
            # The process itself was stopped; that is nothing its loop could be blamed for.
            self._pulse.forgive()
        self._looked_at = now
        silent_seconds = self._pulse.silent_seconds()
        self._pulse.beat()
        if silent_seconds > NOTICED_SECONDS and not self._is_noticed:
            _log("event loop is blocked for %.1f s at %s", silent_seconds, where(self._pulse.thread_id))
        self._is_noticed = silent_seconds > NOTICED_SECONDS
        if self._is_blocked != (silent_seconds > BLOCKED_SECONDS):
            self._is_blocked = not self._is_blocked
            self._tell(not self._is_blocked)

    def _run(self) -> None:
        while not self._pulse.is_over:
            time.sleep(BEAT_SECONDS)
            # A loop that closes meanwhile, or a thread that cannot be started for want of memory.
            with suppress(RuntimeError):
                self.look()


def _log(message: str, *values: object) -> None:
    # Who is blocked may hold the log's lock; then only this thread waits for it.
    threading.Thread(target=logger.warning, args=(message, *values), name="watchdog log", daemon=True).start()
