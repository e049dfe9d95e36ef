"""Many followers of logs, quick ones and slow ones."""

from __future__ import annotations

import asyncio

import pytest

from peftstudio.gateway.v1 import connections_service_pb2, jobs_service_pb2
from tests.process.gateway.conftest import eventually, expected, follow, laboratory, notes, submit
from tests.support.gateway_process import GatewayProcess

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
