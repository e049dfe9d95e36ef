"""The clients in other languages against a real gateway that is killed meanwhile, and so are they."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from peftstudio.gateway.v1.jobs_service_pb2 import CancelJobRequest
from tests.process.gateway.conftest import Options, ended, eventually, give, laboratory, notes, submit
from tests.support.gateway_process import GatewayProcess, gateway_process
from tests.support.polyglot import Toolchain

pytestmark = pytest.mark.polyglot

LIMIT = 60.0
"""Seconds: for a command to end, while gateways are killed under it."""
MIB = 2**20
KEY = "canary-41aa0c"


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[GatewayProcess]:
    """With the laboratory alone: what its jobs are like is chosen by their options."""
    async with gateway_process(tmp_path / "data") as running:
        yield running


@asynccontextmanager
async def started(tools: Toolchain, gateway: GatewayProcess, *arguments: str) -> AsyncIterator[Process]:
    """Start the client as its user would: it finds the gateway and its token by itself."""
    process = await asyncio.create_subprocess_exec(
        *tools.client,
        *arguments,
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env={"PATH": os.environ["PATH"], "PEFTSTUDIO_DATA_DIR": str(gateway.data_dir)},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def call(
    tools: Toolchain, gateway: GatewayProcess, arguments: Sequence[str], stdin: object = None, code: int = 0
) -> tuple[str, str]:
    """Run the client to its end, and return what it printed on stdout and stderr."""
    async with started(tools, gateway, *arguments) as process:
        given = b"" if stdin is None else json.dumps(stdin).encode()
        out, err = await asyncio.wait_for(process.communicate(given), LIMIT)
        assert process.returncode == code, (out + err).decode()
        return out.decode(), err.decode()


def config(**options: float) -> dict[str, str | Options]:
    return {"base_model": "m", "dataset_path": "d", "options": dict(options)}


async def test_it_connects_submits_once_follows_and_downloads(
    tools: Toolchain, gateway: GatewayProcess, tmp_path: Path
) -> None:
    async with started(tools, gateway, "connect", "lab", "desk") as process:
        told = [str(psutil.Process(process.pid).cmdline()), str(psutil.Process(process.pid).environ())]
        assert gateway.token not in str(told)
        printed = await asyncio.wait_for(process.communicate(json.dumps({"api_key": KEY}).encode()), LIMIT)
        assert process.returncode == 0, printed
        assert printed[0].startswith(b"conn-")
        assert KEY not in str(printed)
    wish = config(lines=25, artifact_bytes=100_000, digest=True)
    first, _ = await call(tools, gateway, ("submit", "desk", "wish-1"), wish)
    again, _ = await call(tools, gateway, ("submit", "desk", "wish-1"), wish)
    assert first == again
    job_id = first.strip()
    out, _ = await call(tools, gateway, ("follow", job_id))
    assert out.splitlines() == [f"line {number} of 25" for number in range(1, 26)]
    assert len(notes(gateway, "submitted")) == 1
    out, _ = await call(tools, gateway, ("follow", job_id, "23"))
    assert out.splitlines() == ["line 24 of 25", "line 25 of 25"]
    target = tmp_path / "here"
    out, _ = await call(tools, gateway, ("download", job_id, str(target)))
    assert out.split() == [str(target / "weights.bin")]
    assert (target / "weights.bin").read_bytes() == content(100_000)
    assert list(target.iterdir()) == [target / "weights.bin"]


def content(size: int) -> bytes:
    """What a laboratory job leaves."""
    block = bytes(range(256)) * 1024
    return (block * (size // len(block) + 1))[:size]


async def test_a_refusal_is_told_with_its_reason_and_an_exit_code(tools: Toolchain, gateway: GatewayProcess) -> None:
    _, err = await call(tools, gateway, ("connect", "nothing", "desk"), {"api_key": KEY}, code=1)
    assert "nothing" in err
    assert KEY not in err
    _, err = await call(tools, gateway, ("follow", "job-unknown"), code=1)
    assert "job-unknown" in err


async def test_a_job_that_fails_is_an_exit_code(tools: Toolchain, gateway: GatewayProcess) -> None:
    async with laboratory(gateway) as stubs:
        job_id = await submit(stubs, lines=50, hold=True)
        async with started(tools, gateway, "follow", job_id) as process:
            assert process.stdout is not None
            assert await asyncio.wait_for(process.stdout.readline(), LIMIT) == b"line 1 of 50\n"
            await stubs.jobs.CancelJob(CancelJobRequest(job_id=job_id), timeout=LIMIT)
            _, err = await asyncio.wait_for(process.communicate(), LIMIT)
            assert process.returncode == 1
            assert b"JOB_STATE_CANCELLED" in err


async def test_a_log_is_followed_through_the_death_of_the_gateway_without_a_hole_or_a_line_twice(
    tools: Toolchain, gateway: GatewayProcess
) -> None:
    async with laboratory(gateway) as stubs:
        job_id = await submit(stubs, lines=1500, pace=500)
    async with started(tools, gateway, "follow", job_id) as process:
        assert process.stdout is not None
        seen = [await asyncio.wait_for(process.stdout.readline(), LIMIT) for _ in range(100)]
        await gateway.kill()
        await gateway.start()
        rest, err = await asyncio.wait_for(process.communicate(), LIMIT)
        assert process.returncode == 0, err
    lines = (b"".join(seen) + rest).decode().splitlines()
    assert lines == [f"line {number} of 1500" for number in range(1, 1501)]


async def test_a_download_goes_on_where_the_client_died_and_where_the_gateway_did(
    tools: Toolchain, gateway: GatewayProcess, tmp_path: Path
) -> None:
    size, target = 64 * MIB, tmp_path / "weights.bin"
    async with laboratory(gateway) as stubs:
        job_id = await submit(stubs, lines=1, artifact_bytes=size, digest=True, metered=True)
        await ended(stubs, job_id)
    # However quick the client and the gateway are, they are in the middle of the file when they die.
    give(gateway, size // 4)
    async with started(tools, gateway, "download", job_id, str(tmp_path)) as process:
        kept = await held_behind(0, process, target)
        process.kill()
    give(gateway, size // 2)
    async with started(tools, gateway, "download", job_id, str(tmp_path)) as process:
        kept_then = await held_behind(kept, process, target)
        await gateway.kill()
        give(gateway, size)
        process.send_signal(signal.SIGCONT)
        await gateway.start()
        _, err = await asyncio.wait_for(process.communicate(), LIMIT)
        assert process.returncode == 0, err
    offsets = [int(offset) for offset in re.findall(rb"resumed at (\d+)", err)]
    assert offsets[0] == kept
    assert kept_then <= offsets[-1] < size
    assert target.read_bytes() == content(size)


async def held_behind(count: int, process: Process, target: Path) -> int:
    """Stop a client once it has more of the file than so many bytes, and return how many it has."""
    part = target.with_name(target.name + ".part")

    async def has_more() -> bool:
        return part.exists() and part.stat().st_size > count

    await eventually(has_more)
    process.send_signal(signal.SIGSTOP)
    return part.stat().st_size


async def test_bytes_of_another_file_are_not_taken_for_the_beginning(
    tools: Toolchain, gateway: GatewayProcess, tmp_path: Path
) -> None:
    async with laboratory(gateway) as stubs:
        job_id = await submit(stubs, lines=1, artifact_bytes=5000, digest=True)
        await ended(stubs, job_id)
    part = tmp_path / "weights.bin.part"
    for left in (b"other bytes", b"x" * 5000, b"x" * 9000):
        part.write_bytes(left)
        await call(tools, gateway, ("download", job_id, str(tmp_path)))
        assert (tmp_path / "weights.bin").read_bytes() == content(5000)
        assert not part.exists()
