"""Wake everybody who waits for the same thing."""

from __future__ import annotations

import asyncio


class Broadcast:
    """Let any number of tasks wait for the next notice. What they wait for they look up themselves."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def notify(self) -> None:
        """Wake all who wait now."""
        self._next.set()
        self._next = asyncio.Event()

    def ticket(self) -> asyncio.Event:
        """Return the event of the next notice: take it before looking, so that no notice falls in between."""
        return self._next
