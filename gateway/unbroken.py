"""Work that must not be left half done."""

from __future__ import annotations

import asyncio
from typing import TypeVar

Result = TypeVar("Result")


class Unbroken(asyncio.Future[Result]):
    """The result of such work, under way anyhow: whoever waits for it and is cancelled is so once it is done."""

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
