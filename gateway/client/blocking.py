"""Running coroutines that never suspend: what turns the verbs of the client into blocking ones.

Over `SyncRpc` nothing ever waits for an event loop, so one step takes a coroutine to its end. No loop is made or
entered, which is why this works inside a notebook whose own loop is running.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from functools import wraps
from typing import ParamSpec, TypeVar

Params = ParamSpec("Params")
Result = TypeVar("Result")


def run(coroutine: Coroutine[object, None, Result]) -> Result:
    """Run a coroutine to its end and return its result."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: Result = end.value
        return result

    coroutine.close()
    raise RuntimeError("a blocking call tried to suspend")


def blocking(method: Callable[Params, Coroutine[object, None, Result]]) -> Callable[Params, Result]:
    """Return the blocking form of a verb, with its signature and documentation."""

    @wraps(method)
    def call(*args: Params.args, **kwargs: Params.kwargs) -> Result:
        return run(method(*args, **kwargs))

    return call


def iterating(
    method: Callable[Params, AsyncGenerator[Result, None]],
) -> Callable[Params, Generator[Result, None, None]]:
    """Return the blocking form of a verb with many results."""

    @wraps(method)
    def call(*args: Params.args, **kwargs: Params.kwargs) -> Generator[Result, None, None]:
        items = method(*args, **kwargs)
        try:
            while True:
                try:
                    item = run(_next(items))
                except StopAsyncIteration:
                    return

                yield item
        finally:
            run(_close(items))

    return call


async def _next(items: AsyncGenerator[Result, None]) -> Result:
    return await anext(items)


async def _close(items: AsyncGenerator[Result, None]) -> None:
    await items.aclose()
