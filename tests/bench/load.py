"""Calls made one after the other or many at a time, and how long each took."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.bench.measure import percentile

Call = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Latency:
    """What some calls took, in seconds."""

    p50: float
    p99: float


async def latency(call: Call, calls: int, clients: int) -> Latency:
    """Make so many calls, by so many clients at a time."""
    taken: list[float] = []

    async def client() -> None:
        for _ in range(calls // clients):
            began = time.perf_counter()
            await call()
            taken.append(time.perf_counter() - began)

    await asyncio.gather(*(client() for _ in range(clients)))
    return Latency(percentile(taken, 50), percentile(taken, 99))
