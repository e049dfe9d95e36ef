"""Which of a connection's calls go first where its platform allows only so many."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import IntEnum


class Priority(IntEnum):
    """Why a platform is called; the lower, the sooner."""

    CANCEL = 0
    """Money is saved."""
    SUBMIT = 1
    READ = 2
    """A user waits."""
    POLL = 3
    CATALOG = 4


_asked: ContextVar[Priority | None] = ContextVar("asked", default=None)


@contextmanager
def asked_by_user() -> Iterator[None]:
    """Let calls within the block go as those of a user who waits, whatever they are otherwise."""
    token = _asked.set(Priority.READ)
    try:
        yield
    finally:
        _asked.reset(token)


def at_least(priority: Priority) -> Priority:
    """Return the priority of a call: its own, or that of the user who waits for it."""
    return min(priority, _asked.get() or priority)
