"""Thousands of calls at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeAlias

import grpc
import pytest

from connector_sdk._options import SERVER_OPTIONS
from gateway.api.server import OPTIONS

pytestmark = pytest.mark.wire

Streaming: TypeAlias = "grpc.aio.UnaryStreamMultiCallable[bytes, bytes]"

CALLS = 3_000
SECONDS = 60


class Greeter(grpc.GenericRpcHandler):
    """Begins every stream, and never ends one."""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        async def stream(_: bytes, __: object) -> AsyncIterator[bytes]:
            yield b"hello"
            await asyncio.Event().wait()

        return grpc.unary_stream_rpc_method_handler(stream)


@pytest.mark.parametrize("options", [OPTIONS, SERVER_OPTIONS], ids=["gateway", "connector"])
async def test_each_of_thousands_of_streams_that_are_opened_at_once_begins(
    tmp_path: Path, options: tuple[tuple[str, int], ...]
) -> None:
    server = grpc.aio.server(options=options)
    server.add_generic_rpc_handlers((Greeter(),))
    server.add_insecure_port(f"unix:{tmp_path}/s")
    await server.start()
    async with grpc.aio.insecure_channel(f"unix:{tmp_path}/s") as channel:
        begin: Streaming = channel.unary_stream("/any/Method")
        calls = [begin(b"") for _ in range(CALLS)]
        async with asyncio.timeout(SECONDS):
            assert set(await asyncio.gather(*(call.read() for call in calls))) == {b"hello"}
        for call in calls:
            call.cancel()
    await server.stop(0)
