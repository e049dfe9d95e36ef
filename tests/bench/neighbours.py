"""What a connector that does harm does to another one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import grpc.aio

from tests.bench.connectors import stop
from tests.bench.gateways import HARMS, connect, laboratories, verify
from tests.bench.measure import Effort, Row, in_turns, percentile, seconds
from tests.support.gateway_process import Stubs

CALLS = 300
QUICK_CALLS = 150
GOAL = 2.0


async def neighbours(effort: Effort) -> list[Row]:
    """Call one connector, alone and beside one that does harm all the time."""
    calls = CALLS if effort.is_full else QUICK_CALLS
    async with laboratories([]) as (_, stubs):
        await connect(stubs, "lab")
        return [await _beside(stubs, harmful, calls, effort.rounds) for harmful in HARMS]


async def _beside(stubs: Stubs, harmful: str, calls: int, rounds: int) -> Row:
    await connect(stubs, harmful)

    async def beside() -> float:
        async with _at_work(stubs, harmful):
            return await _p99(stubs, calls)

    pairs = await in_turns(beside, lambda: _p99(stubs, calls), rounds)
    await stop(stubs, harmful)
    return Row.beside(f"p99 of a call beside a {harmful} connector", pairs.ours, pairs.base, "alone", GOAL)


async def _p99(stubs: Stubs, calls: int) -> float:
    return percentile([await seconds(verify(stubs, "lab")) for _ in range(calls)], 99)


@asynccontextmanager
async def _at_work(stubs: Stubs, harmful: str) -> AsyncIterator[None]:
    async def keep() -> None:
        while True:
            with suppress(grpc.aio.AioRpcError):
                await verify(stubs, harmful)

    keeping = asyncio.create_task(keep())
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
