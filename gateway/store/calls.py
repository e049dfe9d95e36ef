"""How what blocks is awaited: in a thread, or in a greenlet (`greenlets.py`) where the driver is one of asyncio's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar, TypeVarTuple

from gateway.unbroken import Unbroken

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")


class Calls(Protocol):
    """Awaits functions that know nothing of asyncio."""

    async def __call__(self, function: Callable[[*_Ts], _T], *arguments: *_Ts) -> _T:
        """Return what the function returns."""
        ...

    async def finish(self, function: Callable[[], None]) -> None:
        """Call it to its end even where the caller is cancelled meanwhile."""
        ...

    def close(self) -> None:
        """Give up what it needs; nothing is called any more."""
        ...


class Threads:
    """For a driver that blocks. Whoever is cancelled waits, too: no connection is used by two threads at a time."""

    def __init__(self, most: int) -> None:
        self._executor = ThreadPoolExecutor(most, thread_name_prefix="ledger")

    async def __call__(self, function: Callable[[*_Ts], _T], *arguments: *_Ts) -> _T:
        """Return what the function returns."""
        loop = asyncio.get_running_loop()
        result: Unbroken[_T] = Unbroken(loop=loop)
        self._executor.submit(_call, loop, result, function, arguments)
        return await result

    async def finish(self, function: Callable[[], None]) -> None:
        """Call it to its end even where the caller is cancelled meanwhile."""
        await self(function)

    def close(self) -> None:
        """End the threads once they have nothing more to do."""
        self._executor.shutdown(wait=False)


def _call(
    loop: asyncio.AbstractEventLoop, result: Unbroken[_T], function: Callable[[*_Ts], _T], arguments: tuple[*_Ts]
) -> None:
    try:
        found = function(*arguments)
    except BaseException as error:
        loop.call_soon_threadsafe(result.fail, error)
    else:
        loop.call_soon_threadsafe(result.set_result, found)
