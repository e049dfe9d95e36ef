"""Jobs of a real gateway through the connectors in other languages."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import psutil
import pytest

from peftstudio.gateway.v1 import artifacts_service_pb2, catalog_service_pb2, connections_service_pb2, jobs_service_pb2
from peftstudio.gateway.v1.connectors_service_pb2 import CONNECTOR_STATE_READY
from peftstudio.job.v1.job_state_pb2 import (
    JOB_REASON_CANCELLED_BY_USER,
    JOB_REASON_EXIT_NONZERO,
    JOB_STATE_CANCELLED,
    JOB_STATE_FAILED,
    JOB_STATE_SUCCEEDED,
)
from tests.polyglot.conftest import KEY, LIMIT, connector, job_folder, submit, wish, workbench
from tests.process.gateway.conftest import ended, eventually, expected, follow
from tests.support.gateway_process import GatewayProcess, Stubs
from tests.support.polyglot import Toolchain
from tests.support.signals import send

pytestmark = pytest.mark.polyglot


async def fetch(stubs: Stubs, job_id: str, artifact_id: str, offset: int = 0) -> tuple[bytes, str]:
    """Return the bytes from an offset on, and the sum of the whole."""
    request = artifacts_service_pb2.FetchArtifactRequest(job_id=job_id, artifact_id=artifact_id, offset=offset)
    data, digest = bytearray(), ""
    async for message in stubs.artifacts.FetchArtifact(request, timeout=LIMIT):
        data += message.chunk.data
        digest = message.artifact.sha256 or digest
    return bytes(data), digest


async def test_a_job_runs_from_its_submission_to_its_files(gateway: GatewayProcess, tools: Toolchain) -> None:
    async with workbench(gateway, tools) as stubs:
        dataset = gateway.data_dir.parent / "data.txt"
        dataset.write_text("ab ab ab\n" * 250)
        job_id = await submit(stubs, "train", dataset_path=str(dataset))
        lines = await follow(stubs, job_id)
        assert [text.split(",")[0] for _, text in lines] == ['{"step": 100', '{"step": 200', '{"step": 250']
        job = await ended(stubs, job_id)
        assert (job.state, job.exit_code, job.raw_state) == (JOB_STATE_SUCCEEDED, 0, "done")
        listed = artifacts_service_pb2.ListArtifactsRequest(job_id=job_id)
        (artifact,) = (await stubs.artifacts.ListArtifacts(listed, timeout=LIMIT)).artifacts
        data, digest = await fetch(stubs, job_id, artifact.id)
        assert data == b" a\t500\nab\t750\nb \t500\n"
        assert hashlib.sha256(data).hexdigest() == digest == artifact.sha256
        metrics = await stubs.jobs.GetMetrics(jobs_service_pb2.GetMetricsRequest(job_id=job_id), timeout=LIMIT)
        assert [point.step for point in metrics.metrics if point.name == "loss"] == [100, 200, 250]


async def test_it_says_what_it_is_has_and_costs(gateway: GatewayProcess, tools: Toolchain) -> None:
    async with workbench(gateway, tools) as stubs:
        said = await connector(stubs, tools)
        assert set(said.capabilities) >= {"cancel_job", "find_job", "list_jobs", "dry_run"}
        assert said.credentials_schema["properties"]["api_key"]["secret"] is True  # type: ignore[index]
        assert "program" in said.options_schema["properties"]  # type: ignore[operator]
        listed = catalog_service_pb2.ListResourcesRequest(connection_id="bench")
        (machine,) = (await stubs.catalog.ListResources(listed, timeout=LIMIT)).resources
        assert machine.cpu_cores == os.cpu_count()
        assert abs(machine.ram_gb - psutil.virtual_memory().total / 1e9) < 0.1
        asked = catalog_service_pb2.GetPricingRequest(connection_id="bench", resource_id=machine.id)
        assert (await stubs.catalog.GetPricing(asked, timeout=LIMIT)).price.not_priced


async def test_what_cannot_be_used_is_refused_with_the_field_that_is_wrong(
    gateway: GatewayProcess, tools: Toolchain
) -> None:
    async with workbench(gateway, tools) as stubs:
        for program in ("missing", "../../../../../bin/sh", ".."):
            with pytest.raises(grpc.aio.AioRpcError, match=r"config\.options\.program") as caught:
                await stubs.jobs.SubmitJob(wish(program), timeout=LIMIT)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        short = connections_service_pb2.ConnectRequest(
            connector_id=tools.connector_id, credentials={"api_key": "short"}
        )
        with pytest.raises(grpc.aio.AioRpcError):
            await stubs.connections.Connect(short, timeout=LIMIT)


async def test_a_job_that_fails_says_how_and_what_it_wrote(gateway: GatewayProcess, tools: Toolchain) -> None:
    async with workbench(gateway, tools) as stubs:
        job_id = await submit(stubs, "fail")
        assert await follow(stubs, job_id) == [(1, "it does not work")]
        job = await ended(stubs, job_id)
        assert (job.state, job.reason, job.exit_code) == (JOB_STATE_FAILED, JOB_REASON_EXIT_NONZERO, 3)


async def test_odd_lines_arrive_as_they_can(gateway: GatewayProcess, tools: Toolchain) -> None:
    async with workbench(gateway, tools) as stubs:
        job_id = await submit(stubs, "odd")
        assert await follow(stubs, job_id) == [
            (1, ""),
            (2, "café \N{REPLACEMENT CHARACTER} end"),
            (3, "x" * 65536),
            (4, "last"),
        ]


async def test_a_cancelled_job_is_ended_with_its_program(gateway: GatewayProcess, tools: Toolchain) -> None:
    async with workbench(gateway, tools) as stubs:
        job_id = await submit(stubs, "last")
        lines: list[str] = []
        following = asyncio.create_task(read_into(lines, stubs, job_id))
        await eventually(more_than(0, lines))
        await stubs.jobs.CancelJob(jobs_service_pb2.CancelJobRequest(job_id=job_id), timeout=LIMIT)
        job = await ended(stubs, job_id)
        assert (job.state, job.reason) == (JOB_STATE_CANCELLED, JOB_REASON_CANCELLED_BY_USER)
        await following
        assert lines == ["waiting"]
        assert programs_in(job_folder(gateway, tools, job.platform_job_id)) == []


def programs_in(folder: Path) -> list[int]:
    """Return the processes that work in a job's folder."""
    found = psutil.process_iter(["cwd"])
    return [process.pid for process in found if process.info["cwd"] == str(folder.resolve())]


async def test_files_are_sent_from_any_offset_and_with_their_sum(gateway: GatewayProcess, tools: Toolchain) -> None:
    async with workbench(gateway, tools) as stubs:
        job_id = await submit(stubs, "leave", 3_000_001)
        job = await ended(stubs, job_id)
        folder = job_folder(gateway, tools, job.platform_job_id)
        blob = (folder / "output" / "deep" / "blob.bin").read_bytes()
        listed = artifacts_service_pb2.ListArtifactsRequest(job_id=job_id)
        found = {one.id: one for one in (await stubs.artifacts.ListArtifacts(listed, timeout=LIMIT)).artifacts}
        assert {name: one.size for name, one in found.items()} == {"deep/blob.bin": 3_000_001, "empty": 0}
        assert found["deep/blob.bin"].sha256 == hashlib.sha256(blob).hexdigest()
        assert await fetch(stubs, job_id, "empty") == (b"", hashlib.sha256().hexdigest())
        for offset in (2_999_999, 0, 3_000_001):
            assert await fetch(stubs, job_id, "deep/blob.bin", offset) == (
                blob[offset:],
                hashlib.sha256(blob).hexdigest(),
            )


async def test_a_connector_that_is_killed_in_the_middle_of_a_log_costs_no_line(
    gateway: GatewayProcess, tools: Toolchain
) -> None:
    async with workbench(gateway, tools) as stubs:
        job_id = await submit(stubs, "lines", 1500, 500)
        lines: list[str] = []
        following = asyncio.create_task(read_into(lines, stubs, job_id))
        for _ in range(2):
            victim = await connector(stubs, tools)
            await eventually(more_than(len(lines), lines))
            send(victim.pid, signal.SIGKILL)

            async def is_back(generation: int = victim.generation) -> bool:
                now = await connector(stubs, tools)
                return now.state == CONNECTOR_STATE_READY and now.generation > generation

            await eventually(is_back)
        await following
        assert lines == [text for _, text in expected(1500)]
        job = await ended(stubs, job_id)
        assert job.state == JOB_STATE_SUCCEEDED
        folder = job_folder(gateway, tools, job.platform_job_id)
        assert (folder / "starts").read_text() == "started\n"


async def read_into(lines: list[str], stubs: Stubs, job_id: str) -> None:
    """Follow a log to its end, and show what came so far."""
    request = jobs_service_pb2.StreamLogsRequest(job_id=job_id, follow=True)
    async for message in stubs.jobs.StreamLogs(request, timeout=60):
        lines += [line.text for line in message.lines]


def more_than(count: int, lines: list[str]) -> Callable[[], Awaitable[bool]]:
    async def are_there() -> bool:
        return len(lines) > count

    return are_there


async def test_a_killed_gateway_leaves_no_connector_and_loses_no_job(gateway: GatewayProcess, tools: Toolchain) -> None:
    async with workbench(gateway, tools) as stubs:
        job_id = await submit(stubs, "lines", 1000, 500)
        pid = (await connector(stubs, tools)).pid
        await gateway.kill()
    killed_at = time.monotonic()
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() - killed_at < LIMIT
        await asyncio.sleep(0.01)
    print(f"no connector {time.monotonic() - killed_at:.3f} s after the gateway")
    await gateway.start()
    async with gateway.connected() as again:
        assert await follow(again, job_id) == expected(1000)
        assert (await ended(again, job_id)).state == JOB_STATE_SUCCEEDED


async def test_the_key_is_in_no_log_and_in_no_argument(gateway: GatewayProcess, tools: Toolchain) -> None:
    async with workbench(gateway, tools) as stubs:
        job_id = await submit(stubs, "last")
        pid = (await connector(stubs, tools)).pid
        process = psutil.Process(pid)
        told = " ".join(process.cmdline()) + str(process.environ())
        await stubs.jobs.CancelJob(jobs_service_pb2.CancelJobRequest(job_id=job_id), timeout=LIMIT)
        await ended(stubs, job_id)
        kept = [path for path in gateway.data_dir.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert KEY not in told
    assert kept == []
