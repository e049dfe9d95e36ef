"""Work that costs hardly more for many than for one.

All that is asked for while some is being done is done together with the next; what comes alone waits for nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from gateway.errors import GatewayError
from gateway.unbroken import Unbroken

Wish = TypeVar("Wish")
Result = TypeVar("Result")


class Together(Generic[Wish, Result]):
    """Do what many want in one go; whoever gives up waiting is let go once it is done."""

    def __init__(self, work: Callable[[Sequence[Wish]], Awaitable[Sequence[Result]]], most: int) -> None:
        """Take what does it, with a result for each wish in their order, and for how many at a time."""
        self._work = work
        self._most = most
        self._waiting: list[tuple[Wish, Unbroken[Result]]] = []
        self._working: asyncio.Task[None] | None = None

    def do(self, wish: Wish) -> Unbroken[Result]:
        """Return what will be the result for one wish, of work that begins behind this call."""
        result: Unbroken[Result] = Unbroken(loop=asyncio.get_running_loop())
        self._waiting.append((wish, result))
        if self._working is None:
            self._working = asyncio.create_task(self._do_all())
        return result

    async def _do_all(self) -> None:
        batch: Sequence[tuple[Wish, Unbroken[Result]]] = ()
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                await self._do(batch)
        finally:
            self._working = None
            # Only where the whole program ends is anything left: nobody may wait for it then.
            for _, result in (*batch, *self._waiting):
                result.abandon()

    async def _do(self, batch: Sequence[tuple[Wish, Unbroken[Result]]]) -> None:
        try:
            found = await self._work([wish for wish, _ in batch])
        except Exception as error:
            if len(batch) > 1 and not isinstance(error, GatewayError):
                # One for which it cannot be done must not fail the others.
                for one in batch:
                    await self._do([one])
                return
            for _, result in batch:
                result.fail(error)
            return
        for (_, result), value in zip(batch, found, strict=True):
            result.set_result(value)
