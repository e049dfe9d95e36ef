"""What a hundred followers of one log cost its connector: behind the gateway, and where a proxy lets it serve each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import psutil
from grpc import aio

from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.connector.v1.connector_service_pb2_grpc import ConnectorServiceStub
from peftstudio.job.v1.training_config_pb2 import TrainingConfig
from tests.bench.gateways import connect, laboratories
from tests.bench.lines import CHANNELS, FOLLOWERS, STREAM_LOGS, crowd, own_connection, request
from tests.bench.measure import Row, in_turns_of
from tests.bench.peers.direct import CONNECTION, Endpoint, direct
from tests.bench.peers.fronts import missing, nginx
from tests.bench.peers.line_server import METHOD
from tests.bench.processor import processor_seconds
from tests.process.gateway.conftest import ended, submit

LINES = 20_000
DIRECT_LINES = 2_000
"""Of the proxy's side, where each costs a hundred times as much."""

Cost = Callable[[], Awaitable[float]]


async def connectors_share(rounds: int) -> list[Row]:
    """Compare the connector's processor time for a line that a follower got."""
    if missing("nginx"):
        return []
    async with _behind_the_gateway() as ours, _behind_nginx() as base:
        found = await in_turns_of({"ours": ours, "base": base}, rounds)
    measure = f"a connector's processor time for a line to one of {FOLLOWERS} followers"
    row = Row.beside(measure, found["ours"], found["base"], "behind nginx", 1 / 50, "ns")
    return [replace(row, group="P4")]


@asynccontextmanager
async def _behind_the_gateway() -> AsyncIterator[Cost]:
    async with laboratories([]) as (gateway, stubs), _channels(str(gateway.endpoint["address"])) as channels:
        await connect(stubs, "lab")
        metadata = (("authorization", f"Bearer {gateway.token}"),)

        async def cost() -> float:
            # All that the gateway launched: besides the connector only what it is forked from, which is at rest.
            children = [child.pid for child in psutil.Process(gateway.pid).children(recursive=True)]
            before = sum(map(processor_seconds, children))
            job = await submit(stubs, lines=LINES)
            await crowd(channels, STREAM_LOGS, request(job), metadata)
            await ended(stubs, job)
            return (sum(map(processor_seconds, children)) - before) / LINES / FOLLOWERS

        yield cost


@asynccontextmanager
async def _behind_nginx() -> AsyncIterator[Cost]:
    async with direct() as connector, nginx(connector) as place, _channels(place.address) as channels:
        order = pb.StreamLogsRequest(
            connection_id=CONNECTION, platform_job_id=await _submit(connector), after_line=0
        ).SerializeToString()

        async def cost() -> float:
            before = processor_seconds(connector.process_id)
            await crowd(channels, METHOD, order, connector.metadata)
            return (processor_seconds(connector.process_id) - before) / DIRECT_LINES / FOLLOWERS

        yield cost


async def _submit(connector: Endpoint) -> str:
    config = TrainingConfig(base_model="m", dataset_path="d")
    config.options.update({"lines": DIRECT_LINES})
    wish = pb.SubmitJobRequest(connection_id=CONNECTION, submission_token="share", config=config)
    async with aio.insecure_channel(connector.address) as channel:
        answer = await ConnectorServiceStub(channel).SubmitJob(wish, metadata=connector.metadata, timeout=30)
    return answer.platform_job_id


@asynccontextmanager
async def _channels(address: str) -> AsyncIterator[list[aio.Channel]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(aio.insecure_channel(address, options=own_connection(number)))
            for number in range(CHANNELS)
        ]
