"""A platform that does not let go of a machine."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest

from peftstudio.job.v1.job_state_pb2 import JOB_STATE_CANCELLED, JOB_STATE_CANCELLING
from tests.process.gateway.conftest import ended, eventually
from tests.process.platform.conftest import Bench
from tests.support.gateway_process import GatewayProcess

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]


def age(gateway: GatewayProcess, job_id: str, by: timedelta) -> None:
    """Let the wish for a job's end be older than it is, in the ledger of a gateway that does not run."""
    microseconds = int(by.total_seconds() * 1_000_000)
    with closing(sqlite3.connect(gateway.data_dir / "ledger.db")) as ledger:
        changed = ledger.execute(
            "UPDATE job_events SET time = time - ? WHERE job_id = ? AND kind = 'cancel_requested'",
            (microseconds, job_id),
        )
        assert changed.rowcount == 1
        ledger.commit()


async def test_a_cancel_that_is_refused_for_minutes_is_asked_for_again_and_the_alarm_names_the_money(
    gateway: GatewayProcess, bench: Bench
) -> None:
    job = await bench.running(None, "small")
    await bench.platform.faults.refuse("cancel", 409, "the machine is being saved")
    await bench.platform.faults.refuse("cancel", 403, "the machine is locked", times=None)
    await bench.cancel(job.id)

    async def is_asked_again() -> bool:
        return len(await bench.platform.arrivals("cancel")) >= 3

    await eventually(is_asked_again)
    first, second, third = (await bench.platform.arrivals("cancel"))[:3]
    assert second > first
    assert third - second >= 2.5
    assert (await bench.job(job.id)).state == JOB_STATE_CANCELLING
    assert len(await bench.platform.held()) == 1

    await gateway.stop()
    age(gateway, job.id, timedelta(minutes=10))
    await gateway.start()
    async with gateway.connected() as bench.stubs:
        alarmed = await bench.until(job.id, lambda job: "0.80 USD per hour" in job.message)
        assert alarmed.state == JOB_STATE_CANCELLING
        assert job.platform_job_id in alarmed.message
        assert (await bench.events(job.id)).count("cancel_overdue") == 1
        assert "0.80 USD per hour" in gateway.log_path.read_text()

        await bench.platform.faults.clear()
        await bench.cancel(job.id)
        assert (await ended(bench.stubs, job.id)).state == JOB_STATE_CANCELLED
        assert await bench.platform.held() == []


async def test_a_cancel_whose_answer_is_lost_ends_the_job_once(bench: Bench) -> None:
    job = await bench.running()
    await bench.platform.faults.lose("cancel", 500)
    await bench.cancel(job.id)
    assert (await ended(bench.stubs, job.id)).state == JOB_STATE_CANCELLED
    assert await bench.platform.held() == []
