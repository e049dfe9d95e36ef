"""Files: how fast they pass, beside the connector called directly, and what they cost the gateway."""

from __future__ import annotations

import asyncio
import os
import statistics
from contextlib import AsyncExitStack
from functools import partial

from grpc import aio

from peftstudio.connector.v1 import connector_service_pb2 as connector
from peftstudio.connector.v1.connector_service_pb2_grpc import ConnectorServiceStub
from peftstudio.gateway.v1 import artifacts_service_pb2 as artifacts
from tests.bench import machine
from tests.bench.gateways import connect, laboratories
from tests.bench.load import raw_stream
from tests.bench.measure import Row, Timed, in_turns_of, seconds
from tests.bench.peers.direct import CONNECTION, Endpoint, Metadata, direct
from tests.bench.peers.fronts import keeper
from tests.process.gateway.conftest import ended, submit

MIB = 1024 * 1024
QUICK_MIB = 512
FULL_MIB = 2048
"""The file of the goal; it takes four times as long, and comes to the same ratio."""
QUICK_ROUNDS = 3
GROWTH_MIB = 64.0
LEAST = "the least that keeps it"
"""It receives, hashes, writes and sends on, and does nothing else: what two hops of grpc.aio and a copy cost here."""
MACHINE = {"sha256": machine.hashed, "a file written": machine.written, "loopback": machine.sent}
FETCH = "/peftstudio.gateway.v1.ArtifactsService/FetchArtifact"
FETCH_DIRECT = "/peftstudio.connector.v1.ConnectorService/FetchArtifact"


async def file_bytes(rounds: int) -> list[Row]:
    """Fetch a file for the first time and again, from the connector itself, and through the least that keeps it."""
    size = int(os.environ.get("BENCH_FILE_MIB") or (QUICK_MIB if rounds <= QUICK_ROUNDS else FULL_MIB)) * MIB
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
        grown = 0.0

        async def cold() -> float:
            nonlocal grown
            # Another size each time: the same bytes would be in the store already.
            job_id = await submit(stubs, artifact_bytes=size + len(requests))
            await ended(stubs, job_id)
            requests.append(artifacts.FetchArtifactRequest(job_id=job_id, artifact_id="weights").SerializeToString())
            before = gateway.memory_bytes()
            rate = await _rate(channel, FETCH, requests[-1], metadata, size)
            grown = max(grown, (gateway.memory_bytes() - before) / MIB)
            return rate

        ways: dict[str, Timed] = {
            "cold": cold,
            "least": lambda: _rate(kept, FETCH_DIRECT, from_connector, endpoint.metadata, size),
            "cached": lambda: _rate(channel, FETCH, requests[-1], metadata, size),
            "direct": lambda: _rate(straight, FETCH_DIRECT, from_connector, endpoint.metadata, size),
            **{name: partial(asyncio.to_thread, machine.rate, work) for name, work in MACHINE.items()},
        }
        found = await in_turns_of(ways, rounds, is_in_order=True)
    return [
        Row.of_rates("a file for the first time", found["cold"], found["direct"], "direct", 0.9, "MiB/s"),
        Row.of_rates(f"a file for the first time ({LEAST})", found["least"], found["direct"], "direct", None, "MiB/s"),
        Row.of_rates("a file for the first time", found["cold"], found["least"], LEAST, 0.9, "MiB/s"),
        Row.of_rates("a file out of the store", found["cached"], found["direct"], "direct", 1.0, "MiB/s"),
        Row("the gateway's memory meanwhile", f"+ {grown:.0f} MiB", value=grown, most=GROWTH_MIB),
        *(Row(f"the machine: {name}", f"{statistics.median(found[name]):,.0f} MiB/s") for name in MACHINE),
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
