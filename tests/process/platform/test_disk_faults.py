"""The gateway's disk fills up while it writes a log and a file, and is freed again."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import pytest

from connector_sdk.testing.platform.artifact import Artifact as PlatformFile
from peftstudio.job.v1.job_state_pb2 import JOB_STATE_SUCCEEDED
from tests.process.gateway.conftest import ended, eventually, follow
from tests.process.platform.conftest import RENTAL, Bench, platform_bench
from tests.support.gateway_process import GatewayProcess, gateway_process

pytestmark = pytest.mark.process

DISK_BYTES = 16 * 1024 * 1024
FILE_BYTES = 6 * 1024 * 1024
LINES = 2000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounting = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", str(folder)], capture_output=True, check=False
    )
    if mounting.returncode:
        pytest.skip(f"no small disk can be mounted here, which takes root: {mounting.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
async def gateway(disk: Path) -> AsyncIterator[GatewayProcess]:
    async with gateway_process(disk / "data", "--plugins", str(RENTAL)) as running:
        # Its own log is on that disk, too: not a word can be written anywhere.
        assert running.log_path.is_relative_to(disk)
        yield running
        # A full disk is no bug, and ends no work on jobs.
        said = running.log_path.read_text()
        assert "work failed" not in said


@pytest.fixture
async def bench(gateway: GatewayProcess) -> AsyncIterator[Bench]:
    async with platform_bench(gateway) as made:
        yield made


def fill(disk: Path) -> Path:
    """Leave no byte free."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (64 * 1024, 4096):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    return ballast


async def test_a_job_that_ends_while_nothing_can_be_written_ends_with_its_whole_log_once_there_is_room(
    disk: Path, bench: Bench
) -> None:
    job = await bench.running({"lines": LINES, "seconds": 3})
    ballast = await asyncio.to_thread(fill, disk)

    async def is_over() -> bool:
        return not await bench.platform.held()

    await eventually(is_over)
    looks = len(await bench.platform.arrivals("look"))

    async def is_seen_to_be_over() -> bool:
        return len(await bench.platform.arrivals("look")) > looks + 1

    await eventually(is_seen_to_be_over)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await bench.submit()
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert len(await bench.platform.rentals()) == 1
    ballast.unlink()
    over = await ended(bench.stubs, job.id)
    assert over.state == JOB_STATE_SUCCEEDED
    lines = await follow(bench.stubs, job.id)
    assert lines == [(number, f"line {number} of {LINES}") for number in range(1, LINES + 1)]


async def test_a_file_that_does_not_fit_is_refused_and_can_be_had_once_there_is_room(disk: Path, bench: Bench) -> None:
    job = await ended(bench.stubs, await bench.submit({"seconds": 0, "file_bytes": FILE_BYTES}))
    ballast = await asyncio.to_thread(fill, disk)
    os.truncate(ballast, ballast.stat().st_size - FILE_BYTES // 2)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await bench.fetch(job.id)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    ballast.unlink()
    whole = PlatformFile("adapter_model.safetensors", FILE_BYTES).content()
    assert await bench.fetch(job.id) == whole
