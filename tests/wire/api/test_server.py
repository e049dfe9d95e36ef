"""What the gateway's server bears."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc.aio
import pytest

from gateway.api.server import OPTIONS

pytestmark = pytest.mark.wire

CALLS = 2_500


async def answer(request: bytes, context: object) -> bytes:
    await asyncio.sleep(0)
    return request


async def test_thousands_of_calls_that_come_at_once_are_all_answered(tmp_path: Path) -> None:
    server = grpc.aio.server(options=OPTIONS)
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {"Echo": grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))
    server.add_insecure_port(f"unix:{tmp_path}/s")
    await server.start()
    async with grpc.aio.insecure_channel(f"unix:{tmp_path}/s") as channel:
        echo: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/test.Echo/Echo")
        calls = [echo(b"%d" % number, timeout=60) for number in range(CALLS)]
        assert await asyncio.gather(*calls) == [b"%d" % number for number in range(CALLS)]
    await server.stop(0)
