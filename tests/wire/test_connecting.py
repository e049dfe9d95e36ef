"""How channels connect to what is slow to answer, or not there yet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from grpc import aio
from grpc_health.v1 import health, health_pb2_grpc

from connector_sdk._options import CHANNEL_OPTIONS as OF_THE_SDK
from gateway.client.channel import OPTIONS as OF_THE_CLIENT
from gateway.plugins.channel import CHANNEL_OPTIONS as OF_THE_GATEWAY

pytestmark = pytest.mark.wire

Options = Sequence[tuple[str, int | str]]
tables = pytest.mark.parametrize("options", [OF_THE_SDK, OF_THE_CLIENT, tuple(OF_THE_GATEWAY.items())])

LATE_SECONDS = 0.4
"""Several times the pause between two attempts."""


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[None]:
    server = aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    yield
    await server.stop(0)


@asynccontextmanager
async def greeting_late(path: Path, behind: Path) -> AsyncIterator[Callable[[], int]]:
    """Accept connections at once and serve them later, as a process does that is given no processor; counts them."""
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await asyncio.sleep(LATE_SECONDS)
        behind_reader, behind_writer = await asyncio.open_unix_connection(behind)
        await asyncio.gather(_copy(reader, behind_writer), _copy(behind_reader, writer))

    async with await asyncio.start_unix_server(serve, path):
        yield lambda: connections


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


async def ask(channel: aio.Channel, *, wait_for_ready: bool) -> None:
    check: aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/grpc.health.v1.Health/Check")
    # An empty request is one of the whole server.
    await check(b"", timeout=20, wait_for_ready=wait_for_ready)


@tables
async def test_a_first_call_succeeds_although_the_other_side_is_slow_to_greet(tmp_path: Path, options: Options) -> None:
    async with serving(tmp_path / "s"), greeting_late(tmp_path / "late", tmp_path / "s") as connections:
        async with aio.insecure_channel(f"unix:{tmp_path}/late", options=options) as channel:
            await ask(channel, wait_for_ready=False)
        assert connections() == 1


@tables
async def test_a_process_that_was_not_there_is_reached_soon_after_it_is(tmp_path: Path, options: Options) -> None:
    async with aio.insecure_channel(f"unix:{tmp_path}/s", options=options) as channel:
        with pytest.raises(aio.AioRpcError) as refused:
            await ask(channel, wait_for_ready=False)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        async with serving(tmp_path / "s"), asyncio.timeout(4):
            await ask(channel, wait_for_ready=True)
