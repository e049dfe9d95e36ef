"""Log lines: to one follower while the author yields them one at a time, and to a hundred followers at once."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from grpc import aio

from peftstudio.gateway.v1 import jobs_service_pb2 as jobs
from peftstudio.gateway.v1.jobs_service_pb2 import StreamLogsResponse
from tests.bench.gateways import connect, laboratories
from tests.bench.load import raw_stream
from tests.bench.measure import Row, in_turns_of
from tests.bench.peers import line_server
from tests.bench.peers.direct import Endpoint, Metadata
from tests.bench.peers.fronts import missing, nginx
from tests.bench.peers.program import free_port, program
from tests.process.gateway.conftest import ended, submit

LIVE_LINES = 300_000
SLOW_LINES = 10_000
"""One line a message is twenty times slower."""
SHARED_LINES = 60_000
"""So many that to read them takes many times as long as to begin."""
FOLLOWERS = 100
CHANNELS = 4
STORED_LINES = 2_800
"""In a message of the bare server of stored bytes: as large as the gateway's are for who is far behind."""
HAS_LINES = bytes([StreamLogsResponse.LINES_FIELD_NUMBER << 3 | 2])
"""What a message with lines begins with."""
STREAM_LOGS = "/peftstudio.gateway.v1.JobsService/StreamLogs"

STORED = "a bare server of stored bytes"

Rate = Callable[[], Awaitable[float]]


async def log_lines(rounds: int) -> list[Row]:
    """Follow logs through the gateway and through nginx, in turns.

    Rates are lines a second over all followers, until the last line has come.
    """
    async with AsyncExitStack() as stack:
        gateway, stubs = await stack.enter_async_context(laboratories([]))
        await connect(stubs, "lab")
        metadata = (("authorization", f"Bearer {gateway.token}"),)
        channels = [
            await stack.enter_async_context(
                aio.insecure_channel(str(gateway.endpoint["address"]), options=own_connection(number))
            )
            for number in range(CHANNELS)
        ]
        stored = await submit(stubs, lines=SHARED_LINES)
        await ended(stubs, stored)

        async def live() -> float:
            job = await submit(stubs, lines=LIVE_LINES)
            rate = LIVE_LINES / await drain(channels[0], STREAM_LOGS, request(job), metadata)
            await ended(stubs, job)
            return rate

        async def shared() -> float:
            return FOLLOWERS * SHARED_LINES / await crowd(channels, STREAM_LOGS, request(stored), metadata)

        ways: dict[str, Rate] = {"live": live, "shared": shared}
        if not missing("nginx"):
            ways["single live"] = await _through_nginx(stack, SLOW_LINES, 1, 1)
            ways["single shared"] = await _through_nginx(stack, SLOW_LINES // 50, 1, FOLLOWERS)
            ways["batch shared"] = await _through_nginx(stack, SHARED_LINES, 300, FOLLOWERS)
        ways["direct"] = await _bare(stack, LIVE_LINES, 300, 1)
        ways["stored"] = await _bare(stack, SHARED_LINES, STORED_LINES, FOLLOWERS, "stored")
        found = await in_turns_of(ways, rounds)
    return _rows(found)


def _rows(found: dict[str, list[float]]) -> list[Row]:
    live, shared = found["live"], found["shared"]
    rows = [
        Row.alone("log lines while the author yields them", live, "lines/s", least=300_000),
        _beside("log lines, batched, from a bare server", found["direct"], live, "through the gateway", None),
    ]
    if "single live" in found:
        to_many = f"log lines to {FOLLOWERS} followers"
        one, three_hundred = "nginx, one line a message", "nginx, 300 lines a message"
        beside_many = _beside(to_many, shared, found["batch shared"], three_hundred, 5.0)
        rows += [
            _beside("log lines to one follower", live, found["single live"], one, 20.0),
            replace(beside_many.limited(found["stored"], STORED, 0.8, "what grpc.aio takes to send them"), group="P4"),
            replace(_beside(to_many, shared, found["single shared"], one, 100.0), group="P4"),
        ]
    return rows


def _beside(measure: str, ours: list[float], base: list[float], what: str, goal: float | None) -> Row:
    return Row.of_rates(measure, ours, base, what, goal, "lines/s")


async def _bare(stack: AsyncExitStack, lines: int, per_message: int, followers: int, *words: str) -> Rate:
    place = await stack.enter_async_context(_lines(lines, per_message, *words))
    return await _rate(stack, place, lines, followers)


async def _through_nginx(stack: AsyncExitStack, lines: int, per_message: int, followers: int) -> Rate:
    behind = await stack.enter_async_context(_lines(lines, per_message))
    return await _rate(stack, await stack.enter_async_context(nginx(behind)), lines, followers)


async def _rate(stack: AsyncExitStack, place: Endpoint, lines: int, followers: int) -> Rate:
    channels = [
        await stack.enter_async_context(aio.insecure_channel(place.address, options=own_connection(number)))
        for number in range(min(CHANNELS, followers))
    ]

    async def rate() -> float:
        return followers * lines / await crowd(channels, line_server.METHOD, b"", (), followers)

    return rate


@asynccontextmanager
async def _lines(lines: int, per_message: int, *words: str) -> AsyncIterator[Endpoint]:
    with TemporaryDirectory(prefix="peft-bench-") as name:
        port = free_port()
        command = [sys.executable, str(Path(line_server.__file__)), str(port), str(lines), str(per_message), *words]
        async with program(command, port, Path(name)):
            yield Endpoint(port)


async def crowd(
    channels: list[aio.Channel], method: str, request: bytes, metadata: Metadata, followers: int = FOLLOWERS
) -> float:
    """Let many read a stream to its end; return after how long the last of them had the last line."""
    return max(
        await asyncio.gather(
            *(drain(channels[number % len(channels)], method, request, metadata) for number in range(followers))
        )
    )


async def drain(channel: aio.Channel, method: str, request: bytes, metadata: Metadata) -> float:
    """Read a stream to its end, and return after how long the last line was there.

    Nothing is decoded: what a client does with the lines is not what is measured, nor how soon a job's end is known.
    """
    began = last = time.perf_counter()
    async for message in raw_stream(channel, method)(request, metadata=metadata, timeout=120):
        if message.startswith(HAS_LINES):
            last = time.perf_counter()
    assert last > began
    return last - began


def request(job_id: str) -> bytes:
    """Ask for a job's log and what comes."""
    return jobs.StreamLogsRequest(job_id=job_id, follow=True).SerializeToString()


def own_connection(number: int) -> list[tuple[str, int]]:
    """Give the options by which each channel has a connection of its own."""
    return [("grpc.use_local_subchannel_pool", 1), ("peft.channel", number)]
