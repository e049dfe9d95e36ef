"""Walk through what an author's method gave: an async generator, any other async iterator, or a promise of one."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable
from typing import Generic, TypeVar

T = TypeVar("T")


class Walk(Generic[T]):
    """Give the iterator, and close it at the end, however early that comes."""

    __slots__ = ("_given", "_source")

    def __init__(self, given: AsyncIterator[T] | Awaitable[AsyncIterator[T]]) -> None:
        """Walk through what was given."""
        self._given = given

    async def __aenter__(self) -> AsyncIterator[T]:
        self._source: AsyncIterator[T] = await self._given if inspect.isawaitable(self._given) else self._given
        return self._source

    async def __aexit__(self, *ending: object) -> None:
        close = getattr(self._source, "aclose", None)
        if close is not None:
            await close()
