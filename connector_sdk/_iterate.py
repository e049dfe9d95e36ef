"""Walk through what an author's method gave: an async generator, any other async iterator, or a promise of one."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import TypeVar

T = TypeVar("T")


@asynccontextmanager
async def walking(given: AsyncIterator[T] | Awaitable[AsyncIterator[T]]) -> AsyncIterator[AsyncIterator[T]]:
    """Give the iterator, and close it at the end, however early that comes."""
    source = await given if inspect.isawaitable(given) else given
    try:
        yield source
    finally:
        close = getattr(source, "aclose", None)
        if close is not None:
            await close()
