"""Serve in a thread with an event loop of its own: a connector that blocks its loop is answered all the same."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TypeVar

START_SECONDS = 30.0  # machines of CI are busy
STOP_SECONDS = 10.0

T = TypeVar("T")


@contextmanager
def in_thread(server: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """Keep `server` open in a thread until the block ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="peft-server", daemon=True)
    thread.start()
    try:
        served = asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(START_SECONDS)
        try:
            yield served
        finally:
            asyncio.run_coroutine_threadsafe(_leave(server), loop).result(STOP_SECONDS)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(STOP_SECONDS)
        loop.close()


async def _leave(server: AbstractAsyncContextManager[T]) -> None:
    await server.__aexit__(None, None, None)
