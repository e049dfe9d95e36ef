"""Trouble that calls show and a restart would not help, in the parts of health that are not the process itself.

A success of the same connection ends it, for quota a success of the same method; after 15 minutes it is forgotten,
because a connection that is gone has no more calls.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType

from gateway.errors import GatewayError, Reason

FORGET_AFTER = timedelta(minutes=15)
"""Trouble that nobody has met for so long is taken for over."""


class Part(StrEnum):
    """The parts of a connector's health; the fourth is its process."""

    CREDENTIALS = "credentials"
    PLATFORM = "platform"
    QUOTA = "quota"


_PARTS: Mapping[Reason, Part] = MappingProxyType(
    {
        Reason.CREDENTIALS_REJECTED: Part.CREDENTIALS,
        Reason.FORBIDDEN: Part.CREDENTIALS,
        Reason.PLATFORM_UNAVAILABLE: Part.PLATFORM,
        Reason.PLATFORM_TIMEOUT: Part.PLATFORM,
        Reason.BAD_UPSTREAM: Part.PLATFORM,
        Reason.OVERLOADED: Part.PLATFORM,
        Reason.RATE_LIMITED: Part.QUOTA,
        Reason.QUOTA: Part.QUOTA,
        Reason.INSUFFICIENT_CREDITS: Part.QUOTA,
        Reason.NO_CAPACITY: Part.QUOTA,
    }
)


@dataclass(frozen=True, slots=True)
class _Key:
    part: Part
    connection_id: str
    method: str


class Troubles:
    """The present trouble of one process's calls."""

    def __init__(self, on_change: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        """Know of no trouble.

        Args:
            on_change: Called with what is to be told, empty = nothing, whenever that changes.
            clock: Seconds of a clock that never goes back.

        """
        self._on_change = on_change
        self._clock = clock
        self._present: dict[_Key, tuple[str, float]] = {}
        self._told = ""

    def failed(self, connection_id: str, method: str, error: GatewayError) -> None:
        """Take note of a call's error."""
        part = _PARTS.get(error.reason)
        if part is not None and connection_id:
            key = _Key(part, connection_id, method if part is Part.QUOTA else "")
            self._present[key] = (f"{error.reason.value}: {error.message}", self._clock())
            self._tell()

    def succeeded(self, connection_id: str, method: str) -> None:
        """Take note of a call's success."""
        over = [key for key in self._present if key.connection_id == connection_id and key.method in ("", method)]
        for key in over:
            del self._present[key]
        if over:
            self._tell()

    def expire(self) -> None:
        """Forget what is long ago."""
        horizon = self._clock() - FORGET_AFTER.total_seconds()
        self._present = {key: seen for key, seen in self._present.items() if seen[1] > horizon}
        self._tell()

    def words(self) -> str:
        """Return what is to be told, one entry a part; empty = nothing."""
        latest: dict[Part, tuple[str, float]] = {}
        for key, seen in self._present.items():
            if key.part not in latest or seen[1] >= latest[key.part][1]:
                latest[key.part] = (f"{seen[0]} (connection {key.connection_id})", seen[1])
        return "; ".join(f"{part}: {latest[part][0]}" for part in Part if part in latest)

    def _tell(self) -> None:
        if (words := self.words()) != self._told:
            self._told = words
            self._on_change(words)
