"""Gateways that nobody calls: their memory and their processor time."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import psutil

from tests.bench.gateways import connect, laboratories
from tests.bench.measure import Effort, Row
from tests.bench.processor import processor_seconds

GATEWAYS = 4
"""Side by side, since they leave the machine to each other: one alone would not show what starts differ by."""
SETTLE_SECONDS = 3.0
SECONDS = 20.0
QUICK_SECONDS = 6.0
MIB = 1024 * 1024


async def at_rest(effort: Effort) -> list[Row]:
    """Look at gateways with one connection each and no jobs."""
    async with AsyncExitStack() as stack:
        gateways = []
        for _ in range(GATEWAYS):
            gateway, stubs = await stack.enter_async_context(laboratories([]))
            await connect(stubs, "lab")
            gateways.append(gateway.pid)
        await asyncio.sleep(SETTLE_SECONDS)
        memory = [psutil.Process(pid).memory_full_info() for pid in gateways]
        span = SECONDS if effort.is_full else QUICK_SECONDS
        before = [processor_seconds(pid) for pid in gateways]
        await asyncio.sleep(span)
        used = [processor_seconds(pid) - earlier for pid, earlier in zip(gateways, before, strict=True)]
    return [
        Row.alone("memory at rest", [one.rss / MIB for one in memory], "MB", most=90.0),
        Row.alone("memory at rest that no other process shares", [one.uss / MIB for one in memory], "MB"),
        Row.alone("processor time at rest", [100 * one / span for one in used], "% of a core", most=0.3),
    ]
