"""What a client gets from a real gateway with a real connector behind it."""

from __future__ import annotations

import asyncio
import hashlib
import random
import signal
from collections.abc import AsyncIterator
from typing import TypeAlias

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2

from peftstudio.gateway.v1 import (
    artifacts_service_pb2,
    catalog_service_pb2,
    connections_service_pb2,
    connectors_service_pb2,
    deployments_service_pb2,
    jobs_service_pb2,
)
from peftstudio.job.v1.artifact_pb2 import Chunk
from peftstudio.job.v1.job_state_pb2 import JOB_STATE_CANCELLED, JOB_STATE_RUNNING, JOB_STATE_SUCCEEDED
from tests.process.gateway.conftest import ended, eventually, expected, follow, give, laboratory, notes, submit, wish
from tests.support.gateway_process import GatewayProcess, Stubs
from tests.support.signals import send

pytestmark = pytest.mark.process

MIB = 1024**2
UNWRITTEN_BYTES = 8 * MIB
"""More than the gateway ever gives its readers ahead of the disk."""
SIZE = 2048 * MIB
CUTS = 50
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
Streaming: TypeAlias = "grpc.aio.StreamStreamMultiCallable[bytes, bytes]"
Plain: TypeAlias = "grpc.aio.UnaryStreamMultiCallable[bytes, bytes]"
Metadata = tuple[tuple[str, str], ...]
Check: TypeAlias = "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]"
FILES = (
    artifacts_service_pb2,
    catalog_service_pb2,
    connections_service_pb2,
    connectors_service_pb2,
    deployments_service_pb2,
    jobs_service_pb2,
)


async def nothing() -> AsyncIterator[bytes]:
    """Send no message: grpc.aio reports one that meets a refused call as INTERNAL, whatever the server said."""
    messages: tuple[bytes, ...] = ()
    for message in messages:
        yield message


async def first_answer(channel: grpc.aio.Channel, path: str, sends_stream: bool, metadata: Metadata) -> None:
    """Make a call with nothing in it."""
    if sends_stream:
        streaming: Streaming = channel.stream_stream(path)
        await streaming(nothing(), timeout=10, metadata=metadata).read()
    else:
        plain: Plain = channel.unary_stream(path)
        await plain(b"", timeout=10, metadata=metadata).read()


def paths() -> list[tuple[str, bool]]:
    """All methods that clients can call, and whether each takes a stream."""
    services = [service for file in FILES for service in file.DESCRIPTOR.services_by_name.values()]
    methods = [method for service in services for method in service.methods]
    return [(f"/{method.containing_service.full_name}/{method.name}", method.client_streaming) for method in methods]


async def test_every_call_without_the_token_is_refused_but_for_health(gateway: GatewayProcess) -> None:
    async with grpc.aio.insecure_channel(str(gateway.endpoint["address"])) as channel:
        for metadata in ((), (("authorization", "Bearer wrong"),)):
            for path, sends_stream in [*paths(), (REFLECTION, True)]:
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await first_answer(channel, path, sends_stream, metadata)
                assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED, (path, refused.value)
                assert "token" in (refused.value.details() or "")
        check: Check = channel.unary_unary("/grpc.health.v1.Health/Check")
        answer = health_pb2.HealthCheckResponse.FromString(await check(b"", timeout=10))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_twenty_followers_get_every_line_once_and_in_order_over_one_upstream_stream(
    gateway: GatewayProcess,
) -> None:
    async with laboratory(gateway) as stubs:
        job_id = await submit(stubs, lines=3000, pace=1500)
        logs = await asyncio.gather(*(follow(stubs, job_id) for _ in range(20)))
        assert all(log == expected(3000) for log in logs)
        opened = notes(gateway, "log opened")
        # One while the job ran, and at most one look for lines that came with its end.
        assert 1 <= len(opened) <= 2
        assert len({note.split()[0] for note in opened}) == 1


async def test_two_gibibytes_arrive_through_fifty_disconnects_in_constant_memory(gateway: GatewayProcess) -> None:
    chance = random.Random(7)
    cuts = sorted(chance.randrange(SIZE) for _ in range(CUTS))
    async with laboratory(gateway) as stubs:
        warm = await submit(stubs, artifact_bytes=4 * MIB)
        await ended(stubs, warm)
        await fetch(gateway, warm, hashlib.sha256(), 0, 4 * MIB)
        job_id = await submit(stubs, artifact_bytes=SIZE)
        await ended(stubs, job_id)
        before, digest, offset, highest = gateway.memory_bytes(), hashlib.sha256(), 0, 0
        for number, cut in enumerate([*cuts, SIZE]):
            if number % 13 == 5:
                # The platform's side is cut as well.
                send(await connector_pid(stubs), signal.SIGKILL)
            offset, peak = await fetch(gateway, job_id, digest, offset, cut)
            highest = max(highest, peak)
        assert (offset, digest.hexdigest()) == (SIZE, laboratory_digest(SIZE))
        assert highest - before < 64 * MIB
        print(f"the gateway grew by {(highest - before) / MIB:.0f} MiB")
        # From its middle, out of the gateway's own store: the platform is not asked again.
        opened = len(notes(gateway, "artifact opened"))
        assert (await fetch(gateway, job_id, hashlib.sha256(), SIZE - 1000, SIZE))[0] == SIZE
        assert len(notes(gateway, "artifact opened")) == opened


async def test_a_download_goes_on_where_the_killed_gateway_was(gateway: GatewayProcess) -> None:
    size, given = 64 * MIB, 48 * MIB
    async with laboratory(gateway) as stubs:
        job_id = await submit(stubs, artifact_bytes=size, digest=True, metered=True)
        await ended(stubs, job_id)
        # The gateway does not wait for its reader: what is not given yet is certainly still to be fetched.
        give(gateway, given)
        offset, _ = await fetch(gateway, job_id, hashlib.sha256(), 0, size // 2)
        await gateway.kill()
    opened = len(notes(gateway, "artifact opened"))
    await gateway.start()
    give(gateway, size)
    digest = hashlib.sha256()
    assert (await fetch(gateway, job_id, digest, 0, size))[0] == size
    assert digest.hexdigest() == laboratory_digest(size)
    (again,) = notes(gateway, "artifact opened")[opened:]
    # What was on its way to the disk when the gateway died is fetched once more.
    assert offset - UNWRITTEN_BYTES <= int(again.rsplit(" ", 1)[1]) <= given


async def connector_pid(stubs: Stubs) -> int:
    """Wait until the laboratory has a process."""
    request, pid = connectors_service_pb2.GetConnectorRequest(connector_id="lab"), 0

    async def has_process() -> bool:
        nonlocal pid
        pid = (await stubs.connectors.GetConnector(request, timeout=30)).connector.pid
        return pid > 0

    await eventually(has_process)
    return pid


async def fetch(gateway: GatewayProcess, job_id: str, digest: hashlib._Hash, offset: int, stop: int) -> tuple[int, int]:
    """Read a file on until at least `stop` and hang up; return where that was, and the gateway's most memory."""
    peak, told = 0, offset
    async with gateway.connected() as stubs:
        request = artifacts_service_pb2.FetchArtifactRequest(job_id=job_id, artifact_id="weights", offset=offset)
        async for message in stubs.artifacts.FetchArtifact(request, timeout=100):
            assert message.HasField("artifact") or message.chunk.offset == offset
            digest.update(message.chunk.data)
            offset += len(message.chunk.data)
            if offset - told > 16 * MIB or message.HasField("artifact"):
                told, peak = offset, max(peak, gateway.memory_bytes())
            if message.HasField("artifact") or stop <= offset < SIZE:
                return offset, peak
    raise AssertionError("the artifact was cut")


def laboratory_digest(size: int) -> str:
    block = bytes(range(256)) * 1024
    digest = hashlib.sha256()
    for _ in range(size // len(block)):
        digest.update(block)
    return digest.hexdigest()


async def test_the_same_request_id_gets_the_same_job_and_another_wish_is_refused(gateway: GatewayProcess) -> None:
    async with laboratory(gateway) as stubs:
        request = wish("wish-1")
        answers = await asyncio.gather(*(stubs.jobs.SubmitJob(request, timeout=30) for _ in range(10)))
        assert len({answer.job.id for answer in answers}) == 1
        assert sum(not answer.replayed for answer in answers) == 1
        await ended(stubs, answers[0].job.id)
        assert len(notes(gateway, "submitted")) == 1
        request.config.rank = 64
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stubs.jobs.SubmitJob(request, timeout=30)
        assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS


async def test_a_cancelled_job_ends_cancelled_and_a_second_cancel_is_no_error(gateway: GatewayProcess) -> None:
    async with laboratory(gateway) as stubs:
        job_id = await submit(stubs, lines=1, hold=True)

        async def is_running() -> bool:
            got = await stubs.jobs.GetJob(jobs_service_pb2.GetJobRequest(job_id=job_id), timeout=10)
            return got.job.state == JOB_STATE_RUNNING

        await eventually(is_running)
        for _ in range(2):
            await stubs.jobs.CancelJob(jobs_service_pb2.CancelJobRequest(job_id=job_id), timeout=30)
        assert (await ended(stubs, job_id)).state == JOB_STATE_CANCELLED
        await stubs.jobs.CancelJob(jobs_service_pb2.CancelJobRequest(job_id=job_id), timeout=30)


async def test_an_uploaded_dataset_reaches_the_connector_as_a_file(gateway: GatewayProcess) -> None:
    data = b'{"text": "a"}\n' * 100_000
    async with laboratory(gateway) as stubs:
        digest = hashlib.sha256(data).hexdigest()
        started = await stubs.artifacts.StartUpload(
            artifacts_service_pb2.StartUploadRequest(
                purpose=artifacts_service_pb2.UPLOAD_PURPOSE_DATASET, name="d.jsonl", size=len(data), sha256=digest
            ),
            timeout=10,
        )

        async def pieces() -> AsyncIterator[artifacts_service_pb2.WriteUploadRequest]:
            for offset in range(0, len(data), 100_000):
                chunk = Chunk(offset=offset, data=data[offset : offset + 100_000])
                yield artifacts_service_pb2.WriteUploadRequest(upload_id=started.upload_id, chunk=chunk)

        written = await stubs.artifacts.WriteUpload(pieces(), timeout=30)
        assert written.committed_offset == len(data)
        commit = artifacts_service_pb2.CommitUploadRequest(upload_id=started.upload_id)
        uri = (await stubs.artifacts.CommitUpload(commit, timeout=30)).uri
        request = wish(dataset=uri)
        job = (await stubs.jobs.SubmitJob(request, timeout=30)).job
        assert job.config.dataset_path == uri
        assert (await ended(stubs, job.id)).state == JOB_STATE_SUCCEEDED
        request.config.dataset_path = f"upload://{'0' * 64}"
        with pytest.raises(grpc.aio.AioRpcError, match="never uploaded"):
            await stubs.jobs.SubmitJob(request, timeout=30)


async def test_prices_of_all_connections_are_compared_with_an_estimate(gateway: GatewayProcess) -> None:
    async with laboratory(gateway) as stubs:
        request = catalog_service_pb2.ComparePricesRequest(
            requirements=catalog_service_pb2.Requirements(min_vram_gb=20, available_only=True)
        )
        answer = await stubs.catalog.ComparePrices(request, timeout=30)
        assert [(offer.resource.id, offer.micros_per_gpu_hour) for offer in answer.offers] == [("small", 800_000)]
        assert answer.offers[0].estimate_micros == 800_000


async def test_credentials_are_nowhere_to_be_found(gateway: GatewayProcess) -> None:
    async with laboratory(gateway) as stubs:
        await ended(stubs, await submit(stubs))
        processes = [psutil.Process(gateway.pid), *psutil.Process(gateway.pid).children(recursive=True)]
        assert await connector_pid(stubs) in {process.pid for process in processes}
        for process in processes:
            assert "canary-77a1b2" not in f"{process.environ()} {process.cmdline()}"
        wrong = connections_service_pb2.ConnectRequest(
            connector_id="lab", name="again", credentials={"key": "canary-77a1b2"}
        )
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stubs.connections.Connect(wrong, timeout=30)
        assert "canary-77a1b2" not in f"{refused.value.details()} {refused.value.trailing_metadata()}"
    await gateway.stop()
    kept = [path for path in gateway.data_dir.rglob("*") if path.is_file()]
    assert kept
    for path in [*kept, gateway.log_path]:
        assert b"canary-77a1b2" not in path.read_bytes(), path
