"""Files: how fast they pass, beside the connector called directly, and what they cost the gateway."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from dataclasses import replace

from grpc import aio

from peftstudio.connector.v1 import connector_service_pb2 as connector
from peftstudio.connector.v1.connector_service_pb2_grpc import ConnectorServiceStub
from peftstudio.gateway.v1 import artifacts_service_pb2 as artifacts
from tests.bench.gateways import connect, laboratories
from tests.bench.load import raw_stream
from tests.bench.measure import Effort, Row, Timed, in_turns_of, seconds
from tests.bench.peers.direct import CONNECTION, Endpoint, Metadata, direct
from tests.bench.peers.fronts import keeper
from tests.process.gateway.conftest import ended, submit

MIB = 1024 * 1024
QUICK_MIB = 512
FULL_MIB = 2048
"""The file of the goal; it takes four times as long, and comes to the same ratio."""
GROWTH_MIB = 64.0
LEAST = "the least that keeps it"
NEAR_ENOUGH = 0.9
"""It receives, hashes, writes and sends on, and does nothing else: what two hops of grpc.aio and a copy cost here."""
FETCH = "/peftstudio.gateway.v1.ArtifactsService/FetchArtifact"
FETCH_DIRECT = "/peftstudio.connector.v1.ConnectorService/FetchArtifact"


async def file_bytes(effort: Effort) -> list[Row]:
    """Fetch a file for the first time and again, from the connector itself, and through the least that keeps it."""
    size = int(os.environ.get("BENCH_FILE_MIB") or (FULL_MIB if effort.is_full else QUICK_MIB)) * MIB
    async with AsyncExitStack() as stack:
        endpoint = await stack.enter_async_context(direct())
        least = await stack.enter_async_context(keeper(endpoint))
        gateway, stubs = await stack.enter_async_context(laboratories([]))
        await connect(stubs, "lab")
        straight = await stack.enter_async_context(aio.insecure_channel(endpoint.address))
        kept = await stack.enter_async_context(aio.insecure_channel(least.address))
        channel = await stack.enter_async_context(aio.insecure_channel(str(gateway.endpoint["address"])))
        metadata = (("authorization", f"Bearer {gateway.token}"),)
        from_connector = await _direct_request(straight, endpoint, size)
        requests: list[bytes] = []
        before, grown = gateway.memory_bytes(), list[float]()

        async def cold() -> float:
            # Another size each time: the same bytes would be in the store already.
            job_id = await submit(stubs, artifact_bytes=size + len(requests))
            await ended(stubs, job_id)
            requests.append(artifacts.FetchArtifactRequest(job_id=job_id, artifact_id="weights").SerializeToString())
            rate = await _rate(channel, FETCH, requests[-1], metadata, size)
            grown.append((gateway.memory_bytes() - before) / MIB)
            return rate

        ways: dict[str, Timed] = {
            "cold": cold,
            "least": lambda: _rate(kept, FETCH_DIRECT, from_connector, endpoint.metadata, size),
            "cached": lambda: _rate(channel, FETCH, requests[-1], metadata, size),
            "direct": lambda: _rate(straight, FETCH_DIRECT, from_connector, endpoint.metadata, size),
        }
        found = await in_turns_of(ways, effort.rounds, is_in_order=True)
    first = Row.of_rates("a file for the first time", found["cold"], found["direct"], "direct", 0.9, "MiB/s")
    return [
        first.limited(found["least"], LEAST, NEAR_ENOUGH, "two hops of grpc.aio, a hash and a copy, on these cores"),
        Row.of_rates("a file out of the store", found["cached"], found["direct"], "direct", 1.0, "MiB/s"),
        replace(
            Row.alone("the gateway's memory meanwhile", grown, "MiB more", most=GROWTH_MIB),
            base=f"at worst {max(grown):.0f} MiB",
        ),
    ]


async def _direct_request(channel: aio.Channel, endpoint: Endpoint, size: int) -> bytes:
    request = connector.SubmitJobRequest(connection_id=CONNECTION, submission_token="file")
    request.config.base_model, request.config.dataset_path = "m", "d"
    request.config.options.update({"artifact_bytes": size})
    answer = await ConnectorServiceStub(channel).SubmitJob(request, metadata=endpoint.metadata, timeout=30)
    asked = connector.FetchArtifactRequest(
        connection_id=CONNECTION, platform_job_id=answer.platform_job_id, artifact_id="weights"
    )
    return bytes(asked.SerializeToString())


async def _rate(channel: aio.Channel, method: str, request: bytes, metadata: Metadata, size: int) -> float:
    return size / MIB / await seconds(_fetch(channel, method, request, metadata, size))


async def _fetch(channel: aio.Channel, method: str, request: bytes, metadata: Metadata, size: int) -> None:
    received = 0
    async for message in raw_stream(channel, method)(request, metadata=metadata, timeout=300):
        received += len(message)
    assert received >= size
