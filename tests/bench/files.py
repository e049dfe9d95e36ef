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
from tests.bench.measure import Row, in_turns_of, seconds
from tests.bench.peers.direct import CONNECTION, Endpoint, Metadata, direct
from tests.process.gateway.conftest import ended, submit

MIB = 1024 * 1024
FILE_BYTES = int(os.environ.get("BENCH_FILE_MIB", "512")) * MIB
"""2048 for the file of the goal; it takes four times as long, and comes to the same ratio."""
GROWTH_MIB = 64.0
FETCH = "/peftstudio.gateway.v1.ArtifactsService/FetchArtifact"
FETCH_DIRECT = "/peftstudio.connector.v1.ConnectorService/FetchArtifact"


async def file_bytes(rounds: int) -> list[Row]:
    """Fetch a file for the first time and again, and from the connector itself, in turns."""
    async with AsyncExitStack() as stack:
        endpoint = await stack.enter_async_context(direct())
        gateway, stubs = await stack.enter_async_context(laboratories([]))
        await connect(stubs, "lab")
        straight = await stack.enter_async_context(aio.insecure_channel(endpoint.address))
        channel = await stack.enter_async_context(aio.insecure_channel(str(gateway.endpoint["address"])))
        metadata = (("authorization", f"Bearer {gateway.token}"),)
        from_connector = await _direct_request(straight, endpoint)
        requests: list[bytes] = []
        before, grown = gateway.memory_bytes(), list[float]()

        async def cold() -> float:
            # Another size each time: the same bytes would be in the store already.
            job_id = await submit(stubs, artifact_bytes=FILE_BYTES + len(requests))
            await ended(stubs, job_id)
            requests.append(artifacts.FetchArtifactRequest(job_id=job_id, artifact_id="weights").SerializeToString())
            rate = await _rate(channel, FETCH, requests[-1], metadata)
            grown.append((gateway.memory_bytes() - before) / MIB)
            return rate

        found = await in_turns_of(
            {
                "cold": cold,
                "cached": lambda: _rate(channel, FETCH, requests[-1], metadata),
                "direct": lambda: _rate(straight, FETCH_DIRECT, from_connector, endpoint.metadata),
            },
            rounds,
            is_in_order=True,
        )
    return [
        Row.of_rates("a file for the first time", found["cold"], found["direct"], "direct", 0.9, "MiB/s"),
        Row.of_rates("a file out of the store", found["cached"], found["direct"], "direct", 1.0, "MiB/s"),
        replace(
            Row.alone("the gateway's memory meanwhile", grown, "MiB more", most=GROWTH_MIB),
            base=f"at worst {max(grown):.0f} MiB",
        ),
    ]


async def _direct_request(channel: aio.Channel, endpoint: Endpoint) -> bytes:
    request = connector.SubmitJobRequest(connection_id=CONNECTION, submission_token="file")
    request.config.base_model, request.config.dataset_path = "m", "d"
    request.config.options.update({"artifact_bytes": FILE_BYTES})
    answer = await ConnectorServiceStub(channel).SubmitJob(request, metadata=endpoint.metadata, timeout=30)
    asked = connector.FetchArtifactRequest(
        connection_id=CONNECTION, platform_job_id=answer.platform_job_id, artifact_id="weights"
    )
    return bytes(asked.SerializeToString())


async def _rate(channel: aio.Channel, method: str, request: bytes, metadata: Metadata) -> float:
    return FILE_BYTES / MIB / await seconds(_fetch(channel, method, request, metadata))


async def _fetch(channel: aio.Channel, method: str, request: bytes, metadata: Metadata) -> None:
    received = 0
    async for message in raw_stream(channel, method)(request, metadata=metadata, timeout=300):
        received += len(message)
    assert received >= FILE_BYTES
