"""Health on the connector's own loop, and on the socket beside it."""

import stat
from pathlib import Path

import grpc
import pytest

from connector_sdk._health_socket import HealthSocket
from connector_sdk.testing import ConnectorHarness
from tests.support.sdk.health import (
    NOT_SERVING,
    SERVICE,
    SERVICE_UNKNOWN,
    SERVING,
    check,
    check_over,
    watching,
    watching_at,
)
from tests.support.sdk.required_connector import PlainConnector

pytestmark = pytest.mark.wire


@pytest.mark.parametrize("service", ["", SERVICE])
async def test_a_connector_serves_health_to_whoever_asks(service: str) -> None:
    async with ConnectorHarness(PlainConnector) as harness:
        assert await check_over(harness.channel, service) == SERVING
        async with watching(harness.channel, service) as following:
            assert await following.next_status() == SERVING


async def test_an_unknown_service_is_said_to_be_unknown() -> None:
    async with ConnectorHarness(PlainConnector) as harness:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await check_over(harness.channel, "another.Service")
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        async with watching(harness.channel, "another.Service") as following:
            assert await following.next_status() == SERVICE_UNKNOWN


async def test_the_health_socket_is_private_and_tells_the_process_and_its_loop_apart(tmp_path: Path) -> None:
    socket = tmp_path / "s.health"
    socket.write_text("stale")
    health = HealthSocket(socket)
    health.start()
    address = f"unix:{socket}"
    try:
        assert stat.S_IMODE(socket.stat().st_mode) == 0o600
        async with watching_at(address, SERVICE) as loop, watching_at(address) as process:
            assert [await loop.next_status(), await process.next_status()] == [SERVING, SERVING]
            health.tell(is_answering=False)
            assert await loop.next_status() == NOT_SERVING
            assert await check(address) == SERVING
            health.tell(is_answering=True)
            assert await loop.next_status() == SERVING
            health.drain()
            assert [await loop.next_status(), await process.next_status()] == [NOT_SERVING, NOT_SERVING]
            health.tell(is_answering=True)
            assert await check(address, SERVICE) == NOT_SERVING
    finally:
        health.stop()
    assert not socket.exists()
