"""Calls made one after the other or many at a time, and how long each took."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import cast

from grpc import aio

from tests.bench.measure import percentile

Call = Callable[[], Awaitable[object]]


def raw_stream(channel: aio.Channel, method: str) -> aio.UnaryStreamMultiCallable[bytes, bytes]:
    """Call a method without encoding or decoding anything."""
    return cast("aio.UnaryStreamMultiCallable[bytes, bytes]", channel.unary_stream(method))


def raw_call(channel: aio.Channel, method: str) -> aio.UnaryUnaryMultiCallable[bytes, bytes]:
    """Call a method without encoding or decoding anything."""
    return cast("aio.UnaryUnaryMultiCallable[bytes, bytes]", channel.unary_unary(method))


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
