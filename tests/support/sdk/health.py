"""Ask a connector's health, and follow it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from connector_sdk._options import CHANNEL_OPTIONS
from tests.support.sdk.rpc import SECONDS

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
SERVICE = "peftstudio.connector.v1.ConnectorService"


class Following:
    """An open Watch."""

    def __init__(self, call: AsyncIterator[health_pb2.HealthCheckResponse]) -> None:
        self._call = call

    async def next_status(self) -> int | None:
        """Give the next status; None once the stream has ended."""
        async with asyncio.timeout(SECONDS):
            async for answer in self._call:
                return answer.status
        return None

    async def until(self, status: int) -> None:
        """Wait for a status."""
        while (said := await self.next_status()) != status:
            assert said is not None, f"the stream ended before {status}"


async def check(address: str, service: str = "", *, seconds: float = SECONDS) -> int:
    """Ask once, over a channel of its own."""
    async with grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS) as channel:
        return await check_over(channel, service, seconds=seconds)


async def check_over(channel: grpc.aio.Channel, service: str = "", *, seconds: float = SECONDS) -> int:
    """Ask once."""
    stub = health_pb2_grpc.HealthStub(channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=seconds)  # type: ignore[attr-defined]
    return int(answer.status)


@asynccontextmanager
async def watching(
    channel: grpc.aio.Channel, service: str = "", metadata: Sequence[tuple[str, str]] = ()
) -> AsyncIterator[Following]:
    """Follow, until the end of the block or of the stream."""
    stub = health_pb2_grpc.HealthStub(channel)
    call = stub.Watch(health_pb2.HealthCheckRequest(service=service), metadata=metadata)  # type: ignore[attr-defined]
    try:
        yield Following(aiter(call))
    finally:
        call.cancel()


@asynccontextmanager
async def watching_at(address: str, service: str = "") -> AsyncIterator[Following]:
    """Follow over a channel of its own, without a token."""
    async with (
        grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS) as channel,
        watching(channel, service) as following,
    ):
        yield following
