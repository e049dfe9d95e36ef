"""What more of something costs: lines, followers, jobs, connections and connectors, from one to what is promised.

What is told is the exponent: 1 = twice as much costs twice as much. Fixed costs push it down, never up.
"""

from __future__ import annotations

import asyncio
import math
import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from grpc import aio

from peftstudio.gateway.v1 import connections_service_pb2 as connections
from peftstudio.gateway.v1 import jobs_service_pb2 as jobs
from tests.bench import ledger
from tests.bench.connectors import restart, stop
from tests.bench.followers import PER_CHANNEL, allow_descriptors
from tests.bench.gateways import connect, laboratories
from tests.bench.lines import STREAM_LOGS, own_connection
from tests.bench.load import raw_stream
from tests.bench.measure import Effort, Row, seconds, worded
from tests.bench.processor import processor_seconds
from tests.process.gateway.conftest import ended, submit
from tests.support.gateway_process import GatewayProcess, Stubs

LINES = (1, 1_000, 10_000, 100_000, 1_000_000)
FOLLOWERS = (1, 10, 100, 1_000, 10_000)
FOLLOWED_LINES = 500
RUNNING = (1, 10, 100, 1_000)
RUNNING_SECONDS = 3.0
QUICK_RUNNING_SECONDS = 0.7
KEPT = (1, 1_000, 10_000, 100_000)
CONNECTIONS = (1, 10, 100, 1_000)
CONNECTORS = (1, 4, 16, 64)
QUICK_MOST = {LINES: 100_000, FOLLOWERS: 1_000, RUNNING: 100, KEPT: 0, CONNECTIONS: 100, CONNECTORS: 16}
"""Up to where a quick run goes; 0 = it leaves that out."""
FEWEST_ROUNDS = 3
SUPER_LINEAR = 1.15
"""An exponent above this is no noise of a few points."""

Cost = Callable[[int], Awaitable[float]]


@dataclass(frozen=True, slots=True)
class Grown:
    """A gateway, and how far each thing grows in it."""

    gateway: GatewayProcess
    stubs: Stubs
    effort: Effort

    def sizes(self, all_of_them: tuple[int, ...]) -> list[int]:
        """Give the sizes to measure."""
        return [size for size in all_of_them if size <= most_of(all_of_them, self.effort)]

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What a call without stubs carries."""
        return (("authorization", f"Bearer {self.gateway.token}"),)

    @property
    def rounds(self) -> int:
        """How often each size is measured."""
        return max(FEWEST_ROUNDS, self.effort.rounds // 2)


def most_of(sizes: tuple[int, ...], effort: Effort) -> int:
    """Return up to where a run goes."""
    return max(sizes) if effort.is_full else QUICK_MOST[sizes]


async def growth(effort: Effort) -> list[Row]:
    """Measure each, in sizes."""
    names = [f"lab{number}" for number in range(most_of(CONNECTORS, effort))]
    async with laboratories(names) as (gateway, stubs):
        grown = Grown(gateway, stubs, effort)
        await connect(stubs, "lab")
        rows = [
            await _lines(grown),
            await _followers(grown),
            await _connectors(grown, names),
            await _connections(grown),
            await _running(grown),
        ]
    return [*rows, *([await _kept(grown)] if effort.is_full else [])]


async def _lines(grown: Grown) -> Row:
    sizes = grown.sizes(LINES)
    async with AsyncExitStack() as stack:
        read = await _reader(grown, stack, 1)
        logs = {count: await _stored(grown.stubs, count) for count in sizes}
        return await _row("reading stored lines", sizes, lambda size: seconds(read(logs[size], 1)), grown.rounds)


async def _followers(grown: Grown) -> Row:
    sizes = grown.sizes(FOLLOWERS)
    allow_descriptors(max(sizes) // PER_CHANNEL + 200)
    async with AsyncExitStack() as stack:
        read = await _reader(grown, stack, -(-max(sizes) // PER_CHANNEL))
        log = await _stored(grown.stubs, FOLLOWED_LINES)
        return await _row("followers of one log", sizes, lambda size: seconds(read(log, size)), grown.rounds)


async def _connectors(grown: Grown, names: Sequence[str]) -> Row:
    async def start(count: int) -> float:
        await asyncio.gather(*(stop(grown.stubs, name) for name in names[:count]))
        return await seconds(asyncio.gather(*(restart(grown.stubs, name) for name in names[:count])))

    row = await _row("connectors that start", grown.sizes(CONNECTORS), start, grown.rounds)
    await asyncio.gather(*(stop(grown.stubs, name) for name in names))
    return row


async def _connections(grown: Grown) -> Row:
    """Ask the connector about each connection; all are of one connector."""
    sizes, stub = grown.sizes(CONNECTIONS), grown.stubs.connections
    ids = [await _opened(grown.stubs, number) for number in range(max(sizes))]

    async def verify(count: int) -> float:
        asked = [connections.VerifyConnectionRequest(connection_id=name) for name in ids[:count]]
        return await seconds(asyncio.gather(*(stub.VerifyConnection(request, timeout=60) for request in asked)))

    return await _row("connections that are verified", sizes, verify, grown.rounds)


async def _running(grown: Grown) -> Row:
    """Count processor time a second; jobs stay once they run, so that the sizes come one after the other."""
    found, running = dict[int, list[float]](), 0
    pause = RUNNING_SECONDS if grown.effort.is_full else QUICK_RUNNING_SECONDS
    for size in grown.sizes(RUNNING):
        for _ in range(size - running):
            await submit(grown.stubs, hold=True, lines=1)
        running = size
        found[size] = [await _used(grown.gateway.pid, pause) for _ in range(grown.rounds)]
    return row_of("processor time for running jobs", found)


async def _kept(grown: Grown) -> Row:
    async def start(count: int) -> float:
        async with ledger.side(count) as side:
            await side.gateway.stop()
            return await seconds(side.gateway.start())

    return await _row("a start with jobs in the ledger", grown.sizes(KEPT), start, grown.rounds)


async def _used(pid: int, pause: float) -> float:
    before = processor_seconds(pid)
    await asyncio.sleep(pause)
    return (processor_seconds(pid) - before) / pause


async def _opened(stubs: Stubs, number: int) -> str:
    request = connections.ConnectRequest(
        connector_id="lab", name=f"bench-{number}", credentials={"api_key": "bench-key"}
    )
    return (await stubs.connections.Connect(request, timeout=60)).connection.id


async def _stored(stubs: Stubs, lines: int) -> bytes:
    job = await submit(stubs, lines=lines)
    await ended(stubs, job)
    return jobs.StreamLogsRequest(job_id=job, follow=True).SerializeToString()


async def _reader(grown: Grown, stack: AsyncExitStack, links: int) -> Callable[[bytes, int], Awaitable[object]]:
    """Return what reads a log by so many clients, spread over the channels."""
    address = str(grown.gateway.endpoint["address"])
    channels = [
        await stack.enter_async_context(aio.insecure_channel(address, options=own_connection(number)))
        for number in range(links)
    ]

    async def drain(request: bytes, number: int) -> None:
        stream = raw_stream(channels[number % links], STREAM_LOGS)
        async for _ in stream(request, metadata=grown.metadata, timeout=300):
            pass

    return lambda request, readers: asyncio.gather(*(drain(request, number) for number in range(readers)))


async def _row(measure: str, sizes: Sequence[int], cost: Cost, rounds: int) -> Row:
    found: dict[int, list[float]] = {size: [] for size in sizes}
    for _ in range(rounds):
        for size in sizes:
            found[size].append(await cost(size))
    return row_of(measure, found)


def row_of(measure: str, found: Mapping[int, Sequence[float]]) -> Row:
    """Make a row of what each round found for each size."""
    each = [exponent(dict(zip(found, costs, strict=True))) for costs in zip(*found.values(), strict=True)]
    costs = {size: statistics.median(values) for size, values in found.items()}
    told = ", ".join(f"{size:,}: {worded(cost, 'ms')}" for size, cost in costs.items())
    row = Row.alone(f"exponent of {measure}", each, "", most=SUPER_LINEAR)
    return replace(row, base=told, costs=tuple(costs.items()))


def exponent(costs: Mapping[int, float]) -> float:
    """Return the slope of the costs between the two largest sizes, on logarithmic scales."""
    (small, before), (large, after) = sorted(costs.items())[-2:]
    return math.log(after / before) / math.log(large / small)
