"""Files that are cut short, change under way, or come in pieces."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from connector_sdk.testing.platform.artifact import Artifact as PlatformFile
from peftstudio.gateway.v1.jobs_service_pb2 import Job
from peftstudio.job.v1.artifact_pb2 import ARTIFACT_STATE_CORRUPT, ARTIFACT_STATE_VERIFIED
from peftstudio.job.v1.job_state_pb2 import JOB_STATE_SUCCEEDED
from tests.process.gateway.conftest import ended, eventually
from tests.process.platform.conftest import Bench

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]

ADAPTER = "adapter_model.safetensors"
FILE_BYTES = 300_000
"""More than one piece of the wire's."""


def content(version: int = 1) -> bytes:
    """The adapter of a job, as the platform makes it."""
    return PlatformFile(ADAPTER, FILE_BYTES, version).content()


async def succeeded(bench: Bench) -> Job:
    """Return a job that left an adapter."""
    job = await ended(bench.stubs, await bench.submit({"seconds": 0, "file_bytes": FILE_BYTES}))
    assert job.state == JOB_STATE_SUCCEEDED
    return job


async def refusal(bench: Bench, job: Job) -> tuple[grpc.StatusCode, str]:
    """Return the code and the reason that the adapter cannot be had for."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await bench.fetch(job.id)
    status, info = rpc_status.from_call(refused.value), error_details_pb2.ErrorInfo()  # type: ignore[arg-type]
    assert status is not None
    assert status.details[0].Unpack(info)
    return refused.value.code(), info.reason


async def test_a_safetensors_file_that_is_cut_short_is_corrupt_and_the_job_succeeded(bench: Bench) -> None:
    job = await succeeded(bench)
    await bench.platform.faults.set(missing_tail_bytes=1000)
    cut = await succeeded(bench)
    assert await refusal(bench, cut) == (grpc.StatusCode.DATA_LOSS, "CHECKSUM_MISMATCH")

    async def is_corrupt() -> bool:
        return (await bench.files(cut.id))[ADAPTER].state == ARTIFACT_STATE_CORRUPT

    # It is fetched a second time before it is given up.
    await eventually(is_corrupt)
    assert (await bench.job(cut.id)).state == JOB_STATE_SUCCEEDED
    await bench.platform.faults.clear()
    assert await bench.fetch(job.id) == content()
    assert (await bench.files(job.id))[ADAPTER].state == ARTIFACT_STATE_VERIFIED


async def test_an_etag_that_is_not_the_lists_is_not_believed_until_it_is(bench: Bench) -> None:
    job = await succeeded(bench)
    await bench.platform.faults.set(is_etag_wrong=True)
    assert await refusal(bench, job) == (grpc.StatusCode.FAILED_PRECONDITION, "ARTIFACT_CHANGED")
    await bench.platform.faults.clear()
    assert await bench.fetch(job.id) == content()


async def test_a_file_that_changes_between_two_halves_is_never_mixed(bench: Bench) -> None:
    job = await succeeded(bench)
    await bench.platform.faults.half("download")
    reading = asyncio.create_task(bench.fetch(job.id))

    async def is_cut() -> bool:
        return len(await bench.platform.arrivals("download")) == 1

    await eventually(is_cut)
    await bench.platform.change_file(job.platform_job_id, ADAPTER)
    try:
        got = await reading
    except grpc.aio.AioRpcError as error:
        # Whoever has bytes of the old file already is told, and begins anew.
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION  # noqa: PT017 - both ends are right
    else:
        assert got == content(2)
    assert await bench.fetch(job.id) == content(2)
    assert (await bench.files(job.id))[ADAPTER].state == ARTIFACT_STATE_VERIFIED


async def test_a_file_that_comes_in_halves_and_after_errors_is_whole(bench: Bench) -> None:
    job = await succeeded(bench)
    # The job's end had a look at its files already.
    before = len(await bench.platform.arrivals("download"))
    await bench.platform.faults.half("download")
    await bench.platform.faults.refuse("download", 503)
    assert await bench.fetch(job.id) == content()
    assert len(await bench.platform.arrivals("download")) == before + 3


async def test_a_list_of_files_that_fails_does_not_hold_up_the_end(bench: Bench) -> None:
    await bench.platform.faults.page("files", 502)
    job = await succeeded(bench)
    assert await bench.fetch(job.id) == content()
