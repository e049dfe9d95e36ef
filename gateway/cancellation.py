"""Tells a cancellation that was asked of a task from one that leaked into it.

grpc.aio cancels whoever awaits a call when its channel is closed (grpc#29248), and so does asyncio when a task that is
awaited was cancelled. Such a cancellation ends a loop that nobody meant to end, silently: no handler of errors sees it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def only_own_cancellation(error: Callable[[], Exception]) -> Iterator[None]:
    """Raise `error()` in place of a cancellation that nobody asked of the current task."""
    try:
        yield
    except asyncio.CancelledError as leaked:
        if is_own_cancellation():
            raise
        raise error() from leaked


def is_own_cancellation() -> bool:
    """Whether the cancellation that is being handled was asked of the current task."""
    task = asyncio.current_task()
    return task is None or bool(task.cancelling())
