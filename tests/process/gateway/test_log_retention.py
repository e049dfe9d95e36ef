"""A log that outgrows its limit while its job runs, is followed, and its gateway is killed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.client.log_cursor import LogCursor, LogStart
from peftstudio.gateway.v1 import jobs_service_pb2
from peftstudio.job.v1.job_state_pb2 import JOB_STATE_SUCCEEDED
from peftstudio.job.v1.log_pb2 import LOG_STREAM_SYSTEM
from tests.process.gateway.conftest import ended, eventually, laboratory, submit
from tests.support.gateway_process import Stubs, gateway_process

pytestmark = pytest.mark.process

LINES = 30_000
LIMIT_MIB = 0.25


async def read(stubs: Stubs, cursor: LogCursor, most: int) -> tuple[list[tuple[int, str]], bool]:
    """Read so many lines at least, and tell whether the log ended."""
    found: list[tuple[int, str]] = []
    async with asyncio.timeout(60):
        async for message in stubs.jobs.StreamLogs(cursor.request()):
            for line in cursor.accept(message):
                is_gap = line.stream == LOG_STREAM_SYSTEM
                found.append((line.seq, "gap" if is_gap else line.text))
            if message.HasField("end") or len(found) >= most:
                return found, message.HasField("end")
    return found, False


def check(found: list[tuple[int, str]]) -> int:
    """Every line is there, or a gap says that it is not; returns how many are."""
    seq = 0
    for number, text in found:
        assert number > seq if text == "gap" else (number, text) == (seq + 1, f"line {number} of {LINES}")
        seq = number
    assert seq == LINES
    return sum(text != "gap" for _, text in found)


async def test_a_log_beyond_its_limit_fails_no_job_and_every_follower_is_told_what_is_gone(tmp_path: Path) -> None:
    async with gateway_process(tmp_path / "data", "--job-log-mib", str(LIMIT_MIB)) as gateway:
        async with laboratory(gateway) as stubs:
            job_id = await submit(stubs, lines=LINES, pace=LINES / 4)
            live = LogCursor(job_id, LogStart(), follow=True)
            found, _ = await read(stubs, live, 2000)
            await gateway.kill()
        await gateway.start()
        async with gateway.connected() as stubs:
            # It rests meanwhile, and what it stood at is deleted.
            job = await ended(stubs, job_id)
            assert job.state == JOB_STATE_SUCCEEDED

            async def is_finished() -> bool:
                return (gateway.data_dir / "logs" / job_id / "ending.json").exists()

            await eventually(is_finished)
            rest, is_end = await read(stubs, live, LINES)
            assert is_end
            assert rest[0][1] == "gap"
            assert check(found + rest) < LINES
            late, _ = await read(stubs, LogCursor(job_id, LogStart(), follow=False), LINES)
            assert late[0][1] == "gap"
            assert check(late) > 1000
            tail = jobs_service_pb2.StreamLogsRequest(job_id=job_id, tail=5)
            messages = [message async for message in stubs.jobs.StreamLogs(tail, timeout=30)]
            assert [line.seq for message in messages for line in message.lines] == list(range(LINES - 4, LINES + 1))
        size = sum(path.stat().st_size for path in (gateway.data_dir / "logs" / job_id).iterdir())
        assert size < 1.5 * LIMIT_MIB * 1024**2
