"""How long calls may take, and how they fail."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

import grpc
import pytest
from google.rpc import error_details_pb2 as details

from gateway.api import boundary
from gateway.api.boundary import Boundary
from gateway.api.in_flight import MOST
from gateway.api.status import CODES
from gateway.errors import GatewayError, Reason
from tests.support.sdk.rpc import failure

pytestmark = pytest.mark.wire

SERVICE = "peftstudio.gateway.v1.ArtifactsService"
DETAILS: Mapping[Reason, Mapping[str, str]] = {
    Reason.NOT_FOUND: {"resource_type": "job", "resource_name": "job-1"},
    Reason.UNSUPPORTED: {"capability": "pause_job"},
    Reason.CURSOR_EXPIRED: {"earliest": "17"},
    Reason.BAD_OFFSET: {"committed_offset": "4096"},
    Reason.CONNECTOR_BUG: {"error_id": "c0ffee00"},
    Reason.ARTIFACT_CHANGED: {"etag": "v2"},
}
"""What goes with a reason in `ErrorInfo`."""

PIECES, PIECE_BYTES = 10, 100_000
STREAMS = 300

Unary: TypeAlias = "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]"
Reading: TypeAlias = "grpc.aio.UnaryStreamMultiCallable[bytes, bytes]"
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
    entrance = Boundary("secret")
    server = grpc.aio.server(handlers=[entrance])
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "ListDatasets": grpc.unary_unary_rpc_method_handler(hang),
        "CommitUpload": grpc.unary_unary_rpc_method_handler(answer),
        "WriteUpload": grpc.stream_unary_rpc_method_handler(count),
    }
    entrance.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
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


@pytest.mark.parametrize("reason", Reason)
async def test_every_reason_reaches_a_client_with_its_code_and_what_goes_with_it(
    tmp_path: Path, reason: Reason
) -> None:
    async def fail(request: bytes, context: object) -> bytes:
        raise GatewayError("so it is", reason=reason, metadata=DETAILS.get(reason, {}))

    entrance = Boundary("secret")
    server = grpc.aio.server(handlers=[entrance])
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {"Fail": grpc.unary_unary_rpc_method_handler(fail)}
    entrance.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    server.add_insecure_port(f"unix:{tmp_path}/s")
    await server.start()
    async with grpc.aio.insecure_channel(f"unix:{tmp_path}/s") as channel:
        failing: Unary = channel.unary_unary(f"/{SERVICE}/Fail")
        failed = await failure(failing(b"", timeout=10, metadata=(("authorization", "Bearer secret"),)))
    await server.stop(0)
    assert (failed.code, failed.reason, failed.message) == (CODES[reason], reason.value, "so it is")
    assert failed.info.domain == "peftstudio"
    if reason in (Reason.RATE_LIMITED, Reason.PLATFORM_UNAVAILABLE, Reason.CONNECTOR_DOWN):
        assert failed.get(details.RetryInfo).retry_delay.ToTimedelta() > timedelta(0)
    if reason is Reason.NOT_FOUND:
        assert failed.get(details.ResourceInfo).resource_name == "job-1"
    if reason is Reason.QUOTA:
        assert failed.get(details.QuotaFailure).violations[0].description == "so it is"
    for key, value in DETAILS.get(reason, {}).items():
        assert failed.info.metadata[key] == value


async def test_a_call_does_not_wait_for_a_message_to_each_of_many_streams(tmp_path: Path) -> None:
    async def endless(request: bytes, context: object) -> AsyncIterator[bytes]:
        while True:
            yield b"line"

    entrance = Boundary("secret")
    server = grpc.aio.server(handlers=[entrance])
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Read": grpc.unary_stream_rpc_method_handler(endless),
        "Answer": grpc.unary_unary_rpc_method_handler(answer),
    }
    entrance.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    server.add_insecure_port(f"unix:{tmp_path}/s")
    await server.start()
    metadata, read = (("authorization", "Bearer secret"),), list[int]()
    async with grpc.aio.insecure_channel(f"unix:{tmp_path}/s") as channel:
        reading: Reading = channel.unary_stream(f"/{SERVICE}/Read")
        answering: Unary = channel.unary_unary(f"/{SERVICE}/Answer")

        async def follow(stream: int) -> None:
            async for _ in reading(b"", metadata=metadata):
                read.append(stream)

        following = [asyncio.create_task(follow(stream)) for stream in range(STREAMS)]
        async with asyncio.timeout(30):
            while len(set(read)) < STREAMS:
                await answering(b"", timeout=30, metadata=metadata)
        meanwhile = []
        for _ in range(10):
            before = len(read)
            await answering(b"", timeout=30, metadata=metadata)
            meanwhile.append(len(read) - before)
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)
    await server.stop(0)
    assert statistics.median(meanwhile) < STREAMS


async def test_streams_that_nobody_reads_take_nothing_from_one_that_is_read(tmp_path: Path) -> None:
    async def many(request: bytes, context: object) -> AsyncIterator[bytes]:
        for _ in range(PIECES):
            yield bytes(PIECE_BYTES)

    entrance = Boundary("secret")
    server = grpc.aio.server(handlers=[entrance])
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {"Read": grpc.unary_stream_rpc_method_handler(many)}
    entrance.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    server.add_insecure_port(f"unix:{tmp_path}/s")
    await server.start()
    metadata = (("authorization", "Bearer secret"),)
    own = ("grpc.use_local_subchannel_pool", 1)
    # Without probes a reader that does not read is sent 64 KiB, and with them megabytes.
    unread = own, ("grpc.http2.bdp_probe", 0)
    async with (
        grpc.aio.insecure_channel(f"unix:{tmp_path}/s", unread) as channel,
        grpc.aio.insecure_channel(f"unix:{tmp_path}/s", [own]) as other,
    ):
        left: Reading = channel.unary_stream(f"/{SERVICE}/Read")
        stuck = [left(b"", timeout=60, metadata=metadata) for _ in range(3 * MOST)]
        for call in stuck:
            assert await call.read()
        reading: Reading = other.unary_stream(f"/{SERVICE}/Read")
        assert [len(piece) async for piece in reading(b"", timeout=30, metadata=metadata)] == [PIECE_BYTES] * PIECES
        for call in stuck:
            call.cancel()
    await server.stop(0)


async def test_a_bug_of_the_gateway_shows_an_id_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fail(request: bytes, context: object) -> bytes:
        raise KeyError("internal detail")

    entrance = Boundary("secret")
    server = grpc.aio.server(handlers=[entrance])
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {"Fail": grpc.unary_unary_rpc_method_handler(fail)}
    entrance.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    server.add_insecure_port(f"unix:{tmp_path}/s")
    await server.start()
    async with grpc.aio.insecure_channel(f"unix:{tmp_path}/s") as channel:
        failing: Unary = channel.unary_unary(f"/{SERVICE}/Fail")
        failed = await failure(failing(b"", timeout=10, metadata=(("authorization", "Bearer secret"),)))
    await server.stop(0)
    error_id = failed.info.metadata["error_id"]
    assert (failed.code, failed.reason) == (grpc.StatusCode.INTERNAL, "GATEWAY_BUG")
    assert error_id in failed.message
    assert "internal detail" not in failed.message
    assert error_id in capsys.readouterr().out
