"""Work that must not be left half done."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

Result = TypeVar("Result")


async def unbroken(work: Coroutine[object, object, Result]) -> Result:
    """Do some short work to its end even where whoever waits for it is cancelled meanwhile, and is so only then."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            # Nobody else looks at it any more, and asyncio would complain.
            task.exception()
        raise
