"""kill -9 of either side, in the middle of it."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import grpc
import pytest

from peftstudio.gateway.v1 import connectors_service_pb2, jobs_service_pb2
from peftstudio.gateway.v1.connectors_service_pb2 import CONNECTOR_STATE_READY
from peftstudio.job.v1.job_state_pb2 import JOB_STATE_SUCCEEDED
from tests.process.gateway.conftest import ended, eventually, expected, follow, laboratory, notes, submit, wish
from tests.support.gateway_process import GatewayProcess, Stubs
from tests.support.signals import send

pytestmark = pytest.mark.process


async def connector(stubs: Stubs) -> connectors_service_pb2.Connector:
    request = connectors_service_pb2.GetConnectorRequest(connector_id="lab")
    return (await stubs.connectors.GetConnector(request, timeout=30)).connector


async def test_a_killed_connector_is_back_and_the_log_goes_on_without_a_hole(gateway: GatewayProcess) -> None:
    async with laboratory(gateway) as stubs:
        job_id = await submit(stubs, lines=4000, pace=500)
        following = asyncio.create_task(follow(stubs, job_id))
        back_after = []
        for kills in range(3):

            async def reads_on(before: int = kills) -> bool:
                return len(notes(gateway, "log opened")) > before

            await eventually(reads_on)
            victim = await connector(stubs)
            send(victim.pid, signal.SIGKILL)
            killed_at = time.monotonic()

            async def is_back(generation: int = victim.generation) -> bool:
                now = await connector(stubs)
                return now.state == CONNECTOR_STATE_READY and now.generation > generation

            await eventually(is_back)
            back_after.append(time.monotonic() - killed_at)
        assert await following == expected(4000)
        assert (await ended(stubs, job_id)).state == JOB_STATE_SUCCEEDED
        assert len(notes(gateway, "submitted")) == 1
        print("connector back after", [f"{seconds:.2f} s" for seconds in back_after])


async def test_a_killed_gateway_finds_its_job_again_with_its_log(gateway: GatewayProcess) -> None:
    async with laboratory(gateway) as stubs:
        job_id = await submit(stubs, lines=4000, pace=1000)
        seen: list[tuple[int, str]] = []
        request = jobs_service_pb2.StreamLogsRequest(job_id=job_id, follow=True)
        with pytest.raises(grpc.aio.AioRpcError):  # noqa: PT012 - the stream breaks because of what is done within it
            async for message in stubs.jobs.StreamLogs(request, timeout=60):
                seen += [(line.seq, line.text) for line in message.lines]
                if len(seen) > 500:
                    await gateway.kill()
    assert seen == expected(4000)[: len(seen)]
    await gateway.start()
    async with gateway.connected() as stubs:
        rest = await follow(stubs, job_id, after_seq=seen[-1][0])
        assert seen + rest == expected(4000)
        assert (await ended(stubs, job_id)).state == JOB_STATE_SUCCEEDED
    assert len(notes(gateway, "submitted")) == 1


async def test_a_log_that_comes_long_behind_the_jobs_end_is_there_whole_after_a_restart_too(
    gateway: GatewayProcess,
) -> None:
    async with laboratory(gateway) as stubs:
        job_id = await submit(stubs, lines=100, late=True)
        following = asyncio.create_task(follow(stubs, job_id))
        assert (await ended(stubs, job_id)).state == JOB_STATE_SUCCEEDED
        assert not following.done()
        await gateway.kill()
        await asyncio.gather(following, return_exceptions=True)
    await gateway.start()
    (folder,) = (gateway.data_dir / "instances" / "lab" / "jobs").iterdir()
    (folder / "loggable").touch()
    async with gateway.connected() as stubs:
        assert await follow(stubs, job_id) == expected(100)


async def test_a_gateway_that_is_killed_again_and_again_while_it_submits_starts_each_job_once(
    gateway: GatewayProcess,
) -> None:
    async with laboratory(gateway):
        pass
    wishes = [f"wish-{number}" for number in range(12)]
    answered: dict[str, str] = {}

    async def ask(stubs: Stubs, request_id: str) -> None:
        answered[request_id] = (await stubs.jobs.SubmitJob(wish(request_id), timeout=30)).job.id

    for pause in (0.0, 0.02, 0.1):
        async with gateway.connected() as stubs:
            calls = [asyncio.create_task(ask(stubs, request_id)) for request_id in wishes]
            await asyncio.sleep(pause)
            await gateway.kill()
            await asyncio.gather(*calls, return_exceptions=True)
        await gateway.start()
    async with gateway.connected() as stubs:
        for request_id in wishes:
            await ask(stubs, request_id)
        for job_id in answered.values():
            assert (await ended(stubs, job_id)).state == JOB_STATE_SUCCEEDED
    assert len(set(answered.values())) == len(wishes)
    assert len(notes(gateway, "submitted")) == len(wishes)


async def test_a_stopped_gateway_leaves_no_process_and_no_socket(gateway: GatewayProcess) -> None:
    async with laboratory(gateway) as stubs:
        pid = (await connector(stubs)).pid
    assert await gateway.stop() == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not (gateway.data_dir / "endpoint.json").exists()
