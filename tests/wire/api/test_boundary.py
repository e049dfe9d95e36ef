"""How long calls may take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeAlias

import grpc
import pytest

from gateway.api import boundary
from gateway.api.boundary import Boundary

pytestmark = pytest.mark.wire

SERVICE = "peftstudio.gateway.v1.ArtifactsService"
Unary: TypeAlias = "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]"
Sending: TypeAlias = "grpc.aio.StreamUnaryMultiCallable[bytes, bytes]"


async def answer(request: bytes, context: object) -> bytes:
    await asyncio.sleep(0)
    return request


async def hang(request: bytes, context: object) -> bytes:
    await asyncio.Event().wait()
    return request


async def count(requests: AsyncIterator[bytes], context: object) -> bytes:
    await asyncio.sleep(0)
    return str(len([request async for request in requests])).encode()


async def three() -> AsyncIterator[bytes]:
    for _ in range(3):
        yield b"piece"


async def test_moving_a_file_may_take_longer_than_any_other_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boundary, "UNARY_SECONDS", 0.0)
    server = grpc.aio.server(interceptors=[Boundary("secret")])
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "ListDatasets": grpc.unary_unary_rpc_method_handler(hang),
        "CommitUpload": grpc.unary_unary_rpc_method_handler(answer),
        "WriteUpload": grpc.stream_unary_rpc_method_handler(count),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    server.add_insecure_port(f"unix:{tmp_path}/s")
    await server.start()
    metadata = (("authorization", "Bearer secret"),)
    async with grpc.aio.insecure_channel(f"unix:{tmp_path}/s") as channel:
        listing: Unary = channel.unary_unary(f"/{SERVICE}/ListDatasets")
        with pytest.raises(grpc.aio.AioRpcError, match="ask again"):
            await listing(b"", timeout=10, metadata=metadata)
        writing: Sending = channel.stream_unary(f"/{SERVICE}/WriteUpload")
        assert await writing(three(), timeout=10, metadata=metadata) == b"3"
        committing: Unary = channel.unary_unary(f"/{SERVICE}/CommitUpload")
        assert await committing(b"done", timeout=10, metadata=metadata) == b"done"
    await server.stop(0)
