"""What more of something costs: lines, followers, running jobs and connectors, each in sizes that grow tenfold or so.

What is told is the exponent: 1 = twice as much costs twice as much. Fixed costs push it down, never up.
"""

from __future__ import annotations

import asyncio
import math
import statistics
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack

import psutil
from grpc import aio

from peftstudio.gateway.v1 import jobs_service_pb2 as jobs
from tests.bench.connectors import restart, stop
from tests.bench.gateways import connect, laboratories
from tests.bench.lines import STREAM_LOGS
from tests.bench.load import raw_stream
from tests.bench.measure import Row, seconds
from tests.process.gateway.conftest import ended, submit
from tests.support.gateway_process import Stubs

LINES = (1_000, 10_000, 100_000)
FOLLOWERS = (1, 10, 100, 500)
FOLLOWED_LINES = 2_000
RUNNING = (1, 10, 100)
RUNNING_SECONDS = 5.0
CONNECTORS = (1, 4, 16)
SUPER_LINEAR = 1.15
"""An exponent above this is no noise of a few points."""


async def growth(rounds: int) -> list[Row]:
    """Measure each, in sizes."""
    names = [f"lab{number}" for number in range(max(CONNECTORS))]
    async with AsyncExitStack() as stack:
        gateway, stubs = await stack.enter_async_context(laboratories(names))
        await connect(stubs, "lab")
        channel = await stack.enter_async_context(aio.insecure_channel(str(gateway.endpoint["address"])))
        token = (("authorization", f"Bearer {gateway.token}"),)
        logs = {count: await _stored(stubs, count) for count in {*LINES, FOLLOWED_LINES}}

        async def read(count: int) -> None:
            call = raw_stream(channel, STREAM_LOGS)(logs[count], metadata=token, timeout=300)
            async for _ in call:
                pass

        async def follow(followers: int) -> None:
            await asyncio.gather(*(read(FOLLOWED_LINES) for _ in range(followers)))

        async def start(count: int) -> float:
            for name in names[:count]:
                await stop(stubs, name)
            return await seconds(asyncio.gather(*(restart(stubs, name) for name in names[:count])))

        process, running = psutil.Process(gateway.pid), 0

        async def attend(count: int) -> float:
            nonlocal running
            while running < count:
                await submit(stubs, hold=True, lines=1)
                running += 1
            before = process.cpu_times()
            await asyncio.sleep(RUNNING_SECONDS)
            after = process.cpu_times()
            return float(after.user + after.system - before.user - before.system)

        return [
            _row("reading stored lines", await _each(LINES, lambda size: seconds(read(size)), rounds)),
            _row("followers of one log", await _each(FOLLOWERS, lambda size: seconds(follow(size)), rounds)),
            _row("connectors that start", await _each(CONNECTORS, start, rounds)),
            # Once: they run on, and are looked at ten times a second.
            _row("processor time for running jobs", await _each(RUNNING, attend, 1)),
        ]


async def _stored(stubs: Stubs, lines: int) -> bytes:
    job = await submit(stubs, lines=lines)
    await ended(stubs, job)
    return jobs.StreamLogsRequest(job_id=job, follow=True).SerializeToString()


async def _each(sizes: tuple[int, ...], cost: Callable[[int], Awaitable[float]], rounds: int) -> Mapping[int, float]:
    found: dict[int, list[float]] = {size: [] for size in sizes}
    for _ in range(rounds):
        for size in sizes:
            found[size].append(await cost(size))
    return {size: statistics.median(costs) for size, costs in found.items()}


def exponent(costs: Mapping[int, float]) -> float:
    """Return the slope of the costs between the two largest sizes, on logarithmic scales."""
    (small, before), (large, after) = sorted(costs.items())[-2:]
    return math.log(after / before) / math.log(large / small)


def _row(measure: str, costs: Mapping[int, float]) -> Row:
    found = exponent(costs)
    told = ", ".join(f"{size:,}: {cost * 1000:,.0f} ms" for size, cost in costs.items())
    return Row(
        f"exponent of {measure}", f"{found:.2f} ({told})", value=found, most=SUPER_LINEAR, costs=tuple(costs.items())
    )
