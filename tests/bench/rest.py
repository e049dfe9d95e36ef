"""A gateway that nobody calls: its memory and its processor time."""

from __future__ import annotations

import asyncio

import psutil

from tests.bench.gateways import connect, laboratories
from tests.bench.measure import Row

SETTLE_SECONDS = 3.0
SECONDS = 20.0
MIB = 1024 * 1024


async def at_rest(rounds: int) -> list[Row]:
    """Look at a gateway with one connection and no jobs."""
    async with laboratories([]) as (gateway, stubs):
        await connect(stubs, "lab")
        await asyncio.sleep(SETTLE_SECONDS)
        process = psutil.Process(gateway.pid)
        found = process.memory_full_info()
        memory, own = found.rss / MIB, found.uss / MIB
        before = _busy(process)
        await asyncio.sleep(SECONDS)
        share = 100 * (_busy(process) - before) / SECONDS
    return [
        Row("memory at rest", f"{memory:.0f} MB, {own:.0f} of them its own", value=memory, most=90.0),
        Row("processor time at rest", f"{share:.2f} % of a core", value=share, most=0.3),
    ]


def _busy(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
