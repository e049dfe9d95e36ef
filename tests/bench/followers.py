"""Thousands of followers: what each costs the gateway while nothing comes, and while a little does."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from grpc import aio

from peftstudio.gateway.v1 import jobs_service_pb2 as jobs
from tests.bench.gateways import connect, laboratories
from tests.bench.lines import STREAM_LOGS, own_connection
from tests.bench.load import raw_stream
from tests.bench.measure import Effort, Row
from tests.bench.peers.direct import Metadata
from tests.process.gateway.conftest import submit

FOLLOWERS = 10_000
QUICK_FOLLOWERS = 2_000
PER_CHANNEL = 100
"""Streams of one connection, as servers commonly allow."""
GATEWAYS = 3
QUICK_GATEWAYS = 2
"""Memory that was given back is used again: only a fresh gateway shows what followers take."""
GOAL_KIB = 40.0


@dataclass(frozen=True, slots=True)
class Followed:
    """A job whose log is followed."""

    what: str
    options: dict[str, float]
    awaited: int
    """Messages that every follower has to get before memory is looked at."""


MESSAGES_A_SECOND = 5_000
"""That trickle to all followers together: half of what two cores can send."""


def _jobs(count: int) -> tuple[Followed, Followed]:
    trickling = {"lines": 1_000, "pace": MESSAGES_A_SECOND / count}
    return Followed("idle", {"hold": True, "lines": 1}, 1), Followed("trickling", trickling, 3)


async def many_followers(effort: Effort) -> list[Row]:
    """Follow one job's log by many clients; needs that many streams, and not that many descriptors."""
    count = FOLLOWERS if effort.is_full else QUICK_FOLLOWERS
    jobs_followed = _jobs(count)
    allow_descriptors(len(jobs_followed) * count // PER_CHANNEL + 200)
    found = [await _kib_of_each(count) for _ in range(GATEWAYS if effort.is_full else QUICK_GATEWAYS)]
    return [
        Row.alone(f"{count:,} followers, {job.what}", each, "KiB each", most=GOAL_KIB)
        for job, each in zip(jobs_followed, zip(*found, strict=True), strict=True)
    ]


async def _kib_of_each(count: int) -> list[float]:
    """Let one crowd after the other come, and all of them stay."""
    each = []
    async with AsyncExitStack() as stack:
        gateway, stubs = await stack.enter_async_context(laboratories([]))
        await connect(stubs, "lab")
        metadata, address = (("authorization", f"Bearer {gateway.token}"),), str(gateway.endpoint["address"])
        for job in _jobs(count):
            job_id = await submit(stubs, **job.options)
            async with _crowd(address, metadata, job_id, 1, job.awaited) as one:
                await one.all_were_told()
            before = gateway.memory_bytes()
            crowd = await stack.enter_async_context(_crowd(address, metadata, job_id, count, job.awaited))
            await crowd.all_were_told()
            each.append((gateway.memory_bytes() - before) / count / 1024)
    return each


class Crowd:
    """Followers that count who got so many messages."""

    def __init__(self, size: int, awaited: int) -> None:
        self._left = size
        self._awaited = awaited
        self._told = asyncio.Event()

    async def follow(self, channel: aio.Channel, request: bytes, metadata: Metadata) -> None:
        """Read until cancelled."""
        messages = 0
        async for _ in raw_stream(channel, STREAM_LOGS)(request, metadata=metadata):
            messages += 1
            if messages == self._awaited:
                self._left -= 1
            if not self._left:
                self._told.set()

    async def all_were_told(self) -> None:
        """Wait until all got what is awaited."""
        async with asyncio.timeout(300):
            await self._told.wait()


@asynccontextmanager
async def _crowd(address: str, metadata: Metadata, job: str, size: int, awaited: int) -> AsyncIterator[Crowd]:
    request = jobs.StreamLogsRequest(job_id=job, follow=True).SerializeToString()
    crowd = Crowd(size, awaited)
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


def allow_descriptors(count: int) -> None:
    """Let this process open so many files and sockets, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))
