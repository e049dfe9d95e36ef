"""Logs of which lines are gone at their platform: what can be had comes once and in order, and gaps say what cannot."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from peftstudio.gateway.v1 import jobs_service_pb2
from tests.process.gateway.conftest import eventually
from tests.process.platform.conftest import Bench, connector_pid, platform_bench
from tests.process.platform.test_log_streams import LINES, arrives
from tests.support.gateway_process import GatewayProcess
from tests.support.signals import send

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]

TALKING = {"lines": LINES, "seconds": 3}


@pytest_asyncio.fixture(loop_scope="module")
async def replaying(gateway: GatewayProcess) -> AsyncIterator[Bench]:
    async with platform_bench(gateway, "guide-rental") as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def tailing(gateway: GatewayProcess) -> AsyncIterator[Bench]:
    async with platform_bench(gateway, "tail-rental") as made:
        yield made


async def follow(bench: Bench, job_id: str, seconds: float = 60) -> tuple[list[int], list[str]]:
    """Follow a log to its end, and return the numbers that its lines tell, and why lines are missing."""
    numbers, gaps, seqs = [], [], []
    request = jobs_service_pb2.StreamLogsRequest(job_id=job_id, follow=True)
    async with asyncio.timeout(seconds):
        async for message in bench.stubs.jobs.StreamLogs(request):
            if message.HasField("gap"):
                gaps.append(message.gap.why)
            seqs += [line.seq for line in message.lines]
            numbers += [int(re.findall(r"\d+", line.text)[0]) for line in message.lines]
    assert seqs == list(range(1, len(seqs) + 1))
    return numbers, gaps


async def reopened(bench: Bench, job_id: str, connector_id: str, **conditions: list[int] | int) -> None:
    """Let the connector's process die once a part of the log is stored, and the platform's log be another one then."""

    async def is_half_stored() -> bool:
        request = jobs_service_pb2.StreamLogsRequest(job_id=job_id)
        stored = [line.seq async for message in bench.stubs.jobs.StreamLogs(request) for line in message.lines]
        return len(stored) >= 14

    await eventually(is_half_stored)
    await bench.platform.faults.set(**conditions)
    send(await connector_pid(bench, connector_id), signal.SIGKILL)
    await arrives(bench, "log_text" if connector_id == "guide-rental" else "log_tail", 2)


async def test_a_replay_that_has_lost_its_first_lines_goes_on_where_it_was(replaying: Bench) -> None:
    job_id = await replaying.submit(TALKING)
    await reopened(replaying, job_id, "guide-rental", log_lost_lines=4)
    numbers, _ = await follow(replaying, job_id)
    assert numbers == list(range(1, LINES + 1))


async def test_a_replay_that_repeats_a_line_goes_on_where_it_was(replaying: Bench) -> None:
    job_id = await replaying.submit(TALKING)
    await reopened(replaying, job_id, "guide-rental", log_doubled=[3])
    numbers, _ = await follow(replaying, job_id)
    assert numbers == list(range(1, LINES + 1))


async def test_a_log_of_which_only_the_end_can_be_had_tells_of_its_gap(tailing: Bench) -> None:
    job_id = await tailing.submit(TALKING)
    await reopened(tailing, job_id, "tail-rental", log_tail_lines=0)
    numbers, gaps = await follow(tailing, job_id)
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == LINES
    assert gaps
