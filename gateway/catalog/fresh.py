"""Answers that stay fresh for a while, each asked for once however many want it at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

from gateway.clock import Clock

MAX_ANSWERS = 10_000
"""More than all machines of all connections; beyond it, the oldest answers go."""

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class _Answer(Generic[Value]):
    task: asyncio.Task[Value]
    asked_at: float


class Fresh(Generic[Key, Value]):
    """Keep answers and own the questions. A question that fails is asked again by the next who wants to know."""

    def __init__(self, clock: Clock, lifetime: timedelta) -> None:
        self._clock = clock
        self._lifetime_seconds = lifetime.total_seconds()
        self._answers: dict[Key, _Answer[Value]] = {}
        self._asking: set[asyncio.Task[Value]] = set()

    async def get(self, key: Key, ask: Callable[[], Awaitable[Value]]) -> Value:
        """Return the answer; asks unless there is a fresh one or somebody is asking."""
        answer = self._answers.get(key)
        if answer is None or self._is_stale(answer):
            answer = self._ask(key, ask)
        # Whoever gives up waiting does not take the answer away from the others.
        return await asyncio.shield(answer.task)

    async def close(self) -> None:
        """End all questions."""
        tasks = list(self._asking)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ask(self, key: Key, ask: Callable[[], Awaitable[Value]]) -> _Answer[Value]:
        while len(self._answers) >= MAX_ANSWERS:
            self._answers.pop(next(iter(self._answers)))
        task = asyncio.create_task(_run(ask))
        self._asking.add(task)
        task.add_done_callback(self._answered)
        # Taken out first, so that the order stays that of asking.
        self._answers.pop(key, None)
        answer = self._answers[key] = _Answer(task, self._clock.monotonic())
        return answer

    def _answered(self, task: asyncio.Task[Value]) -> None:
        self._asking.discard(task)
        if not task.cancelled():
            # Looked at, so that asyncio does not complain where everybody stopped waiting.
            task.exception()

    def _is_stale(self, answer: _Answer[Value]) -> bool:
        if not answer.task.done():
            return False
        has_failed = answer.task.cancelled() or answer.task.exception() is not None
        return has_failed or self._clock.monotonic() - answer.asked_at >= self._lifetime_seconds


async def _run(ask: Callable[[], Awaitable[Value]]) -> Value:
    return await ask()
