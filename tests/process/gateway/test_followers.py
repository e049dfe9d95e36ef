"""Many followers of logs, quick ones and slow ones."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from peftstudio.gateway.v1 import connections_service_pb2, jobs_service_pb2
from tests.process.gateway.conftest import eventually, expected, follow, laboratory, notes, submit
from tests.support.gateway_process import GatewayProcess, Stubs

pytestmark = pytest.mark.process

MIB = 1024**2
LINES = 400_000
"""With some 50 bytes each, more than all buffers between two processes."""


# F14
async def test_a_follower_that_stops_reading_holds_up_nobody(gateway: GatewayProcess) -> None:
    async with laboratory(gateway) as stubs, gateway.connected() as other:
        warm = await submit(stubs, lines=100)
        assert await follow(stubs, warm) == expected(100)
        before = gateway.memory_bytes()
        job_id = await submit(stubs, lines=LINES)
        request = jobs_service_pb2.StreamLogsRequest(job_id=job_id, follow=True)
        slow = other.jobs.StreamLogs(request, timeout=100)
        first = await slow.read()
        assert isinstance(first, jobs_service_pb2.StreamLogsResponse)
        assert await follow(stubs, job_id) == expected(LINES)
        assert gateway.memory_bytes() - before < 64 * MIB
        # It has lost nothing by its rest.
        numbers = [line.seq for line in first.lines]
        while isinstance(message := await slow.read(), jobs_service_pb2.StreamLogsResponse):
            numbers += [line.seq for line in message.lines]
        assert numbers == list(range(1, LINES + 1))


async def test_a_thousand_followers_of_fifty_jobs_get_everything_in_bounded_memory(gateway: GatewayProcess) -> None:
    lines, channels, jobs_count, each = 300, 4, 50, 20
    reached: dict[int, int] = {}

    async def go_along(stubs: Stubs, job_id: str, number: int) -> list[tuple[int, str]]:
        found = []
        request = jobs_service_pb2.StreamLogsRequest(job_id=job_id, follow=True)
        async for message in stubs.jobs.StreamLogs(request, timeout=100):
            found += [(line.seq, line.text) for line in message.lines]
            reached[number] = message.next_after_seq
            if message.HasField("end"):
                assert message.end.complete
        return found

    async with laboratory(gateway) as stubs, AsyncExitStack() as stack:
        jobs = [await submit(stubs, lines=lines, hold=True) for _ in range(jobs_count)]

        async def all_collected() -> bool:
            request = jobs_service_pb2.StreamLogsRequest(job_id=jobs[-1])
            return [message.end.last_seq async for message in stubs.jobs.StreamLogs(request)][-1] == lines

        await eventually(all_collected)
        clients = [await stack.enter_async_context(gateway.connected()) for _ in range(channels)]
        await asyncio.gather(*(client.jobs.ListJobs(jobs_service_pb2.ListJobsRequest()) for client in clients))
        before = gateway.memory_bytes()
        async with asyncio.timeout(90), asyncio.TaskGroup() as tasks:
            followers = [
                tasks.create_task(go_along(clients[number % channels], jobs[number % jobs_count], number))
                for number in range(jobs_count * each)
            ]

            async def all_follow() -> bool:
                return len(reached) == len(followers) and set(reached.values()) == {lines}

            await eventually(all_follow, seconds=60)
            grown = (gateway.memory_bytes() - before) / len(followers)
            for folder in (gateway.data_dir / "instances" / "lab" / "jobs").iterdir():
                (folder / "release").touch()
        assert all(task.result() == expected(lines) for task in followers)
        print(f"the gateway grew by {grown / 1024:.1f} KiB for each of {len(followers)} followers")
        assert grown < 128 * 1024


async def test_sixty_four_logs_of_one_connector_leave_room_for_calls(gateway: GatewayProcess) -> None:
    async with laboratory(gateway) as stubs:
        jobs = [await submit(stubs, lines=5, hold=True) for _ in range(64)]
        logs = [asyncio.create_task(follow(stubs, job_id)) for job_id in jobs]

        async def all_stream() -> bool:
            return len(notes(gateway, "log opened")) >= 64

        await eventually(all_stream)
        request = connections_service_pb2.VerifyConnectionRequest(connection_id="lab")
        for _ in range(20):
            await stubs.connections.VerifyConnection(request, timeout=10)
        for folder in (gateway.data_dir / "instances" / "lab" / "jobs").iterdir():
            (folder / "release").touch()
        assert await asyncio.gather(*logs) == [expected(5)] * 64
