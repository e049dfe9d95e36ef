"""Know who keeps this process: the gateway that started it, or one that has adopted it since.

The gateway that started it holds stdin. Once that has ended, each Watch of the gateway's holds the process, and
without any it has `linger_seconds` left. A Watch is served by the event loop; while the loop is blocked, nobody can
tell whether it is still there, so a process whose loop stays silent for long enough is held by nobody.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

TRUSTED_SECONDS = 60.0  # how long at least a Watch counts, although the loop that serves it is silent


class Custody:
    """Count those who hold the process. Safe from any thread."""

    def __init__(
        self,
        linger_seconds: float,
        silent_seconds: Callable[[], float],
        wake: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Give an orphan `linger_seconds`; `silent_seconds()` is how long the loop has not answered.

        `wake()` is called when `left_seconds` has changed.
        """
        self._linger_seconds = linger_seconds
        self._silent_seconds = silent_seconds
        self._wake = wake
        self._clock = clock
        self._lock = threading.Lock()
        self._holders = 0
        self._free_since = clock()
        self._is_orphan = False

    def orphan(self) -> None:
        """Note that the gateway that started the process is gone."""
        with self._lock:
            self._is_orphan = True
            self._free_since = self._clock()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the process meanwhile."""
        with self._lock:
            self._holders += 1
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
                self._free_since = self._clock()
            self._wake()

    def left_seconds(self) -> float:
        """Say how long the process may go on unless something changes; ask again when that time is over."""
        with self._lock:
            if not self._is_orphan:
                return float("inf")
            if self._holders:
                return max(self._linger_seconds, TRUSTED_SECONDS) - self._silent_seconds()
            return self._free_since + self._linger_seconds - self._clock()
