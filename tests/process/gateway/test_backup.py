"""A gateway that is backed up while it works, and another one that goes on with what was backed up."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import grpc
import pytest

from peftstudio.gateway.v1 import jobs_service_pb2
from peftstudio.job.v1.job_state_pb2 import JOB_STATE_SUCCEEDED
from tests.process.gateway.conftest import ended, eventually, expected, follow, laboratory, submit
from tests.process.gateway.test_bad_input import REFUSED, peftstudio
from tests.support.gateway_process import GatewayProcess, Stubs, gateway_process
from tests.support.tiny_model import pair_rows, write_jsonl

pytestmark = pytest.mark.process


async def test_a_backup_of_a_gateway_under_load_is_followed_on_elsewhere(
    gateway: GatewayProcess, tmp_path: Path
) -> None:
    data = write_jsonl(tmp_path / "data.jsonl", pair_rows())
    file = tmp_path / "backup.tar"
    async with laboratory(gateway) as stubs:
        assert (await peftstudio(gateway, "datasets", "upload", str(data)))[0] == 0
        followed = [await submit(stubs, lines=1500, pace=300) for _ in range(2)]
        loading = asyncio.create_task(_load(stubs))

        async def is_under_load() -> bool:
            return len(await _all_jobs(stubs)) > 10

        await eventually(is_under_load)
        code, said = await peftstudio(gateway, "backup", str(file))
        assert code == 0, said
        assert "files" in said
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)
        token = gateway.token
        await gateway.kill()

    elsewhere = tmp_path / "elsewhere" / "data"
    code, said = await peftstudio(elsewhere, "restore", str(file))
    assert code == 0, said
    async with gateway_process(elsewhere) as restored, restored.connected(token) as stubs:
        jobs = await _all_jobs(stubs)
        assert set(followed) <= set(jobs)
        for job_id in followed:
            assert await follow(stubs, job_id) == expected(1500)
        for job_id in jobs:
            assert (await ended(stubs, job_id)).state == JOB_STATE_SUCCEEDED
        # The credentials can still be opened, the dataset can still be used, and nothing of the folder is overwritten.
        assert (await peftstudio(restored, "connections", "verify", "lab"))[0] == 0
        assert (await ended(stubs, await submit(stubs, lines=1))).state == JOB_STATE_SUCCEEDED
        (dataset,) = [path for path in (elsewhere / "blobs").rglob("*") if path.is_file()]
        assert dataset.read_bytes() == data.read_bytes()
        assert (await peftstudio(restored, "restore", str(file), "--replace"))[0] == REFUSED


async def _load(stubs: Stubs) -> None:
    with suppress(grpc.aio.AioRpcError):
        while True:
            await submit(stubs, lines=5)


async def _all_jobs(stubs: Stubs) -> list[str]:
    answer = await stubs.jobs.ListJobs(jobs_service_pb2.ListJobsRequest(page_size=1000), timeout=30)
    return [job.id for job in answer.jobs]
