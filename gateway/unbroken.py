"""Work that must not be left half done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import TypeVar

Result = TypeVar("Result")


class Unbroken(asyncio.Future[Result]):
    """The result of such work that is under way anyhow: whoever waits for it and is cancelled is so once it is done."""

    def cancel(self, msg: object = None) -> bool:
        """Do nothing, of which asyncio makes that the waiting task is cancelled later."""
        return False

    def fail(self, error: BaseException) -> None:
        """Set an error, at which nobody may look any more: asyncio shall not complain."""
        self.set_exception(error)
        self.exception()

    def abandon(self) -> None:
        """Cancel it, where nothing will come any more."""
        super().cancel()


async def unbroken(work: Awaitable[Result]) -> Result:
    """Do some short work to its end even where whoever waits for it is cancelled meanwhile, and is so only then."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            # Whoever is cancelled once may be so again before the work has ended.
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        if not task.cancelled():
            # Nobody else looks at it any more, and asyncio would complain.
            task.exception()
        raise
