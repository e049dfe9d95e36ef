"""Await SQLAlchemy where the driver is one of asyncio's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

from sqlalchemy.util import greenlet_spawn

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")


class Greenlets:
    """Calls in greenlets, which step aside whenever the driver waits."""

    async def __call__(self, function: Callable[[*_Ts], _T], *arguments: *_Ts) -> _T:
        """Return what the function returns."""
        return await greenlet_spawn(function, *arguments)

    async def finish(self, function: Callable[[], None]) -> None:
        """Call it to its end even where the caller is cancelled meanwhile."""
        await asyncio.shield(asyncio.create_task(greenlet_spawn(function)))

    def close(self) -> None:
        """Do nothing."""
