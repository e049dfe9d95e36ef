"""Logs that replay, skip, repeat and are cut: every line once, in order."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from peftstudio.job.v1.job_state_pb2 import JOB_STATE_SUCCEEDED
from tests.process.gateway.conftest import ended, eventually, follow
from tests.process.platform.conftest import Bench, connector_pid, platform_bench
from tests.support.gateway_process import GatewayProcess
from tests.support.signals import send

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]

LINES = 40
TALKING = {"lines": LINES, "seconds": 2}


def written(count: int = LINES) -> list[tuple[int, str]]:
    """What a job writes."""
    return [(number, f"line {number} of {count}") for number in range(1, count + 1)]


@pytest_asyncio.fixture(loop_scope="module")
async def replaying(gateway: GatewayProcess) -> AsyncIterator[Bench]:
    """A bench whose connector has nothing but the guide's `stream_logs`."""
    async with platform_bench(gateway, "guide-rental") as made:
        yield made


async def arrives(bench: Bench, call: str, times: int) -> None:
    """Wait until the platform was asked so often."""

    async def is_asked() -> bool:
        return len(await bench.platform.arrivals(call)) >= times  # type: ignore[arg-type]

    await eventually(is_asked)


async def test_pages_that_repeat_and_skip_lines_and_fail_give_every_line_once(bench: Bench) -> None:
    await bench.platform.faults.set(log_repeats=3, log_skips=[5, 21])
    await bench.platform.faults.refuse("log", 500)
    await bench.platform.faults.half("log")
    job_id = await bench.submit(TALKING)
    assert await follow(bench.stubs, job_id) == written()
    assert (await ended(bench.stubs, job_id)).state == JOB_STATE_SUCCEEDED


async def test_a_log_that_is_cut_in_the_middle_of_a_line_has_that_line_once_and_whole(replaying: Bench) -> None:
    first = "".join(f"line {number} of {LINES}\n" for number in range(1, 8))
    await replaying.platform.faults.set(log_cut_bytes=len(first) - 5)
    job_id = await replaying.submit(TALKING)
    await arrives(replaying, "log_text", 3)
    await replaying.platform.faults.clear()
    assert await follow(replaying.stubs, job_id) == written()


async def test_a_log_that_ends_without_a_line_end_has_its_last_line(replaying: Bench) -> None:
    whole = "".join(f"line {number} of 8\n" for number in range(1, 9))
    await replaying.platform.faults.set(log_cut_bytes=len(whole) - 1)
    job_id = await replaying.submit({"lines": 8, "seconds": 0})
    assert await follow(replaying.stubs, job_id) == written(8)


async def test_a_log_that_starts_again_in_a_fresh_connector_gives_every_line_once(replaying: Bench) -> None:
    job_id = await replaying.submit(TALKING)
    await replaying.until(job_id, lambda job: job.status == "running")
    await arrives(replaying, "log_text", 1)
    send(await connector_pid(replaying, "guide-rental"), signal.SIGKILL)
    assert await follow(replaying.stubs, job_id) == written()
    assert len(await replaying.platform.arrivals("log_text")) >= 2
