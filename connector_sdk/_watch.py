"""End the process when it is asked to, and see to it that it does end.

A thread of its own watches the lifeline, because a blocking call of the author's may hold up the event loop. Whoever
wants an end (the lifeline, SIGTERM, Shutdown) goes through it: it tells the loop, and ends the process the hard way if
that has not happened in time.
"""

from __future__ import annotations

import math
import os
import select
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from connector_sdk._custody import Custody
from connector_sdk._output import OUTPUTS, give_up
from connector_sdk._start import ExitCode

LIFELINE_LAST_SECONDS = 0.8  # the protocol allows one second
AFTER_GRACE_SECONDS = 0.5  # for cleaning up once the grace is over
TERM_GRACE_SECONDS = 5.0  # SIGKILL follows
GRACE = struct.Struct("d")
LOOK_AGAIN = math.nan
"""What is written instead of a grace when only the custody has changed."""
LONGEST_WAIT_SECONDS = 3600.0  # poll() takes no infinity


class Watch:
    """Wait for a reason to end, beside the event loop."""

    def __init__(
        self,
        lifeline: int,
        tell: Callable[[float], None],
        *,
        linger_seconds: float | None = None,
        silent_seconds: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Watch the descriptor `lifeline`; call `tell(grace_seconds)`, from a thread, once an end is wanted.

        Without the lifeline the process ends at once or, where `linger_seconds` is given, if nobody holds it for so
        long. `silent_seconds()` is how long the event loop has not answered.
        """
        self._lifeline = lifeline
        self._tell = tell
        self._wake_reader, self._wake_writer = os.pipe()
        self._deadline = math.inf
        self._is_lingering = linger_seconds is not None
        self._custody = Custody(linger_seconds or 0.0, silent_seconds, lambda: self.end_within(LOOK_AGAIN))
        self._poll = select.poll()

    def start(self) -> None:
        """Begin to watch."""
        threading.Thread(target=self._run, name="lifeline", daemon=True).start()

    def end_within(self, grace_seconds: float) -> None:
        """Ask for an end; safe from any thread and from a signal handler."""
        os.write(self._wake_writer, GRACE.pack(grace_seconds))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be a lifeline, too, meanwhile."""
        with self._custody.held():
            yield

    def _run(self) -> None:
        self._poll.register(self._lifeline, select.POLLIN)
        self._poll.register(self._wake_reader, select.POLLIN)
        while True:
            if self._custody.left_seconds() <= 0 and self._deadline == math.inf:
                self._end(TERM_GRACE_SECONDS, TERM_GRACE_SECONDS + AFTER_GRACE_SECONDS)
            if time.monotonic() >= self._deadline:
                os._exit(ExitCode.DONE)
            for descriptor, _ in self._poll.poll(self._wait_seconds() * 1000):
                self._see(descriptor)

    def _wait_seconds(self) -> float:
        left = self._deadline - time.monotonic()
        if self._deadline == math.inf:
            left = self._custody.left_seconds()
        return max(0.0, min(left, LONGEST_WAIT_SECONDS))

    def _see(self, descriptor: int) -> None:
        if descriptor in OUTPUTS:
            self._poll.unregister(descriptor)
            give_up(descriptor)
        elif descriptor == self._wake_reader:
            (grace_seconds,) = GRACE.unpack(os.read(self._wake_reader, GRACE.size))
            if not math.isnan(grace_seconds):
                self._end(grace_seconds, grace_seconds + AFTER_GRACE_SECONDS)
        elif not os.read(self._lifeline, 4096):
            self._poll.unregister(self._lifeline)
            self._lose()

    def _lose(self) -> None:
        if not self._is_lingering:
            self._end(0.0, LIFELINE_LAST_SECONDS)
            return
        self._custody.orphan()
        for descriptor in OUTPUTS:
            # Nothing is waited for but the error that a pipe without a reader has.
            self._poll.register(descriptor, 0)

    def _end(self, grace_seconds: float, last_seconds: float) -> None:
        self._deadline = min(self._deadline, time.monotonic() + last_seconds)
        self._tell(grace_seconds)
