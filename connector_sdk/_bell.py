"""Wake a task that waits, for less than an `asyncio.Event` with a time-out takes."""

from __future__ import annotations

import asyncio


class Bell:
    """Something for which one task at a time waits."""

    __slots__ = ("_waiter",)

    def __init__(self) -> None:
        """Have nobody waiting."""
        self._waiter: asyncio.Future[None] | None = None

    def ring(self) -> None:
        """Wake who waits now; nobody else learns of it."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> None:
        """Wait until it rings."""
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    async def wait_for(self, seconds: float) -> None:
        """Wait until it rings, but no longer than that."""
        if seconds <= 0:
            return
        timer = asyncio.get_running_loop().call_later(seconds, self.ring)
        try:
            await self.wait()
        finally:
            timer.cancel()
