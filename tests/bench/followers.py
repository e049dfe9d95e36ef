"""Ten thousand followers: what each costs the gateway while nothing comes, and while a little does."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from grpc import aio

from peftstudio.gateway.v1 import jobs_service_pb2 as jobs
from tests.bench.gateways import connect, laboratories
from tests.bench.lines import STREAM_LOGS, own_connection
from tests.bench.load import raw_stream
from tests.bench.measure import Row
from tests.bench.peers.direct import Metadata
from tests.process.gateway.conftest import submit

FOLLOWERS = 10_000
PER_CHANNEL = 100
"""Streams of one connection, as servers commonly allow."""
GOAL_KIB = 40.0


async def many_followers(followers: int = FOLLOWERS) -> list[Row]:
    """Follow one job's log by many clients; needs that many streams, and not that many descriptors."""
    _allow_descriptors(followers // PER_CHANNEL + 200)
    async with AsyncExitStack() as stack:
        gateway, stubs = await stack.enter_async_context(laboratories([]))
        await connect(stubs, "lab")
        idle = await submit(stubs, hold=True, lines=1)
        trickle = await submit(stubs, lines=1_000, pace=0.2)
        metadata = (("authorization", f"Bearer {gateway.token}"),)
        address, rows = str(gateway.endpoint["address"]), []
        for what, job in (("idle", idle), ("trickling", trickle)):
            before = gateway.memory_bytes()
            async with _crowd(address, metadata, job, followers) as crowd:
                await crowd.all_have_begun()
                grown = (gateway.memory_bytes() - before) / followers / 1024
            rows.append(Row(f"{followers:,} followers, {what}", f"{grown:.1f} KiB each", value=grown, most=GOAL_KIB))
    return rows


class Crowd:
    """Followers that count who got a first message."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._begun = asyncio.Event()

    async def follow(self, channel: aio.Channel, request: bytes, metadata: Metadata) -> None:
        """Read until cancelled."""
        is_first = True
        async for _ in raw_stream(channel, STREAM_LOGS)(request, metadata=metadata):
            if is_first:
                is_first, self._left = False, self._left - 1
            if not self._left:
                self._begun.set()

    async def all_have_begun(self) -> None:
        """Wait until all got something."""
        async with asyncio.timeout(300):
            await self._begun.wait()


@asynccontextmanager
async def _crowd(address: str, metadata: Metadata, job: str, size: int) -> AsyncIterator[Crowd]:
    request = jobs.StreamLogsRequest(job_id=job, follow=True).SerializeToString()
    crowd = Crowd(size)
    async with AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(aio.insecure_channel(address, options=own_connection(number)))
            for number in range(-(-size // PER_CHANNEL))
        ]
        tasks = [
            asyncio.create_task(crowd.follow(channels[number // PER_CHANNEL], request, metadata))
            for number in range(size)
        ]
        try:
            yield crowd
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _allow_descriptors(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))
