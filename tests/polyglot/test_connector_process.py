"""The connectors in other languages as processes: how they start, whom they answer, and how they end."""

from __future__ import annotations

import asyncio
import hashlib
import signal
import stat
import time
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import psutil
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from gateway.plugins.identity import identify
from peftstudio.connector.v1 import connector_service_pb2 as pb
from tests.polyglot.by_hand import CONNECTOR_TOKEN, GATEWAY_TOKEN, LIMIT, Launched, bearer, launched
from tests.support.polyglot import Toolchain
from tests.support.sdk.health import check_over

pytestmark = pytest.mark.polyglot

PINGED_SECONDS = 5.5
"""More than four pings."""
OURS = bearer(GATEWAY_TOKEN)


@pytest.fixture
async def running(tools: Toolchain, tmp_path: Path) -> AsyncIterator[Launched]:
    async with launched(tools.connector, tmp_path) as process:
        yield process


def reason_of(error: grpc.aio.AioRpcError) -> str:
    status = rpc_status.from_call(error)  # type: ignore[arg-type] # has what is needed of a call
    assert status is not None, error
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    assert info.domain == "peftstudio"
    return str(info.reason)


async def test_the_handshake_says_who_it_is_and_where(running: Launched) -> None:
    said = running.handshake
    assert (said["version"], said["protocol"], said["pid"]) == (1, 1, running.process.pid)
    assert said["address"] == f"unix:{running.socket}"
    who = identify(running.process.pid)
    told = (None, "") if who is None else (who.start_time, who.boot_id)
    assert (said["start_time"], said["boot_id"]) == told
    assert stat.S_IMODE(running.socket.stat().st_mode) == 0o600


async def test_a_stranger_is_refused_and_learns_nothing(running: Launched) -> None:
    async with running.connected() as (_, stub):
        for metadata in ((), bearer("wrong"), bearer(""), (("authorization", GATEWAY_TOKEN),)):
            call = stub.Describe(pb.DescribeRequest(), metadata=metadata, timeout=LIMIT)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
            assert CONNECTOR_TOKEN not in str([*await call.initial_metadata(), *await call.trailing_metadata()])
        stream = stub.StreamLogs(pb.StreamLogsRequest(), timeout=LIMIT)
        with pytest.raises(grpc.aio.AioRpcError, match="UNAUTHENTICATED"):
            await stream.read()


async def test_the_gateway_is_answered_with_proof_and_anybody_is_told_of_health(running: Launched) -> None:
    async with running.connected() as (channel, stub):
        call = stub.Describe(pb.DescribeRequest(), metadata=OURS, timeout=LIMIT)
        assert ("x-connector-token", CONNECTOR_TOKEN) in list(await call.initial_metadata())
        assert (await call).log_source == pb.LOG_SOURCE_CURSOR
        await check_health(channel)
    aside = running.handshake.get("health_address")
    if aside is not None:
        async with grpc.aio.insecure_channel(str(aside)) as channel:
            await check_health(channel)
        socket = running.socket.with_name(f"{running.socket.name}.health")
        assert aside == f"unix:{socket}"
        assert stat.S_IMODE(socket.stat().st_mode) == 0o600


async def check_health(channel: grpc.aio.Channel) -> None:
    for service in ("", "peftstudio.connector.v1.ConnectorService"):
        assert await check_over(channel, service) == health_pb2.HealthCheckResponse.SERVING


async def test_errors_have_their_reasons(running: Launched) -> None:
    async with running.connected() as (_, stub):
        wrong = pb.ConnectRequest(connection_id="c", credentials={"api_key": "short"})
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Connect(wrong, metadata=OURS, timeout=LIMIT)
        assert (caught.value.code(), reason_of(caught.value)) == (
            grpc.StatusCode.UNAUTHENTICATED,
            "CREDENTIALS_REJECTED",
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetJobStatus(pb.GetJobStatusRequest(connection_id="c"), metadata=OURS, timeout=LIMIT)
        assert (caught.value.code(), reason_of(caught.value)) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "NOT_CONNECTED",
        )
        right = pb.ConnectRequest(connection_id="c", credentials={"api_key": "long enough"})
        await stub.Connect(right, metadata=OURS, timeout=LIMIT)
        for name in ("nothing", "../../escape", ""):
            request = pb.GetJobStatusRequest(connection_id="c", platform_job_id=name)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.GetJobStatus(request, metadata=OURS, timeout=LIMIT)
            assert (caught.value.code(), reason_of(caught.value)) == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.PauseJob(pb.PauseJobRequest(connection_id="c"), metadata=OURS, timeout=LIMIT)
        assert (caught.value.code(), reason_of(caught.value)) == (grpc.StatusCode.UNIMPLEMENTED, "UNSUPPORTED")


async def test_a_connection_that_is_pinged_stays(running: Launched) -> None:
    pings = {
        "grpc.keepalive_time_ms": 1000,
        "grpc.keepalive_permit_without_calls": 1,
        "grpc.http2.max_pings_without_data": 0,
    }
    async with grpc.aio.insecure_channel(f"unix:{running.socket}", options=list(pings.items())) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())  # type: ignore[attr-defined]
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        # Servers that count pings close the connection with the fourth that comes too soon.
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(watch.read(), PINGED_SECONDS)


async def test_a_protocol_that_it_does_not_speak_is_refused_for_good(tools: Toolchain, tmp_path: Path) -> None:
    async with launched(tools.connector, tmp_path, protocols=[98, 99]) as process:
        assert "99" in str(process.handshake["error"])
        assert await process.ended() == 78


async def test_shutdown_is_answered_and_ends_it(running: Launched) -> None:
    async with running.connected() as (channel, stub):
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=LIMIT)  # type: ignore[attr-defined]
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        request = pb.ShutdownRequest()
        request.grace.seconds = 10
        await stub.Shutdown(request, metadata=OURS, timeout=LIMIT)
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert await running.ended() == 0


async def test_the_signal_to_terminate_ends_it_in_order(running: Launched) -> None:
    running.process.send_signal(signal.SIGTERM)
    assert await running.ended() == 0


async def test_the_end_of_its_lifeline_ends_it(running: Launched) -> None:
    assert running.process.stdin is not None
    cut_at = time.monotonic()
    running.process.stdin.close()
    await running.ended()
    print(f"gone after {time.monotonic() - cut_at:.3f} s")
    assert not psutil.pid_exists(running.process.pid)


async def test_an_upload_is_kept_only_if_its_sum_is_right(running: Launched) -> None:
    async with running.connected() as (_, stub):
        right = pb.ConnectRequest(connection_id="c", credentials={"api_key": "long enough"})
        await stub.Connect(right, metadata=OURS, timeout=LIMIT)
        data = b"abc" * 100_000
        for digest, is_kept in ((hashlib.sha256(data).hexdigest(), True), ("0" * 64, False)):
            header = pb.UploadHeader(connection_id="c", name="adapter.bin", size=len(data), sha256=digest)
            pieces = [pb.UploadArtifactRequest(header=header)]
            for offset in range(0, len(data), 65536):
                piece = pb.UploadArtifactRequest()
                piece.chunk.offset, piece.chunk.data = offset, data[offset : offset + 65536]
                pieces.append(piece)
            call = stub.UploadArtifact(iter(pieces), metadata=OURS, timeout=LIMIT)
            if is_kept:
                assert (await call).artifact_id == digest
                continue
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert reason_of(caught.value) == "CHECKSUM_MISMATCH"


async def test_a_socket_that_cannot_be_had_is_told_and_is_for_good(tools: Toolchain, tmp_path: Path) -> None:
    async with launched(tools.connector, tmp_path, socket=str(tmp_path / "missing" / "s.sock")) as process:
        assert process.handshake["error"]
        assert await process.ended() == 78


async def test_a_bootstrap_that_is_none_is_told_and_is_for_good(tools: Toolchain, tmp_path: Path) -> None:
    async with launched(tools.connector, tmp_path, protocols="none") as process:
        assert process.handshake["error"]
        assert await process.ended() == 78
