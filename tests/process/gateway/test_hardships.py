"""What seldom happens and must still be answered well: things that are gone, empty, huge or not yet there."""

from __future__ import annotations

import socket
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from peftstudio.gateway.v1 import artifacts_service_pb2, connections_service_pb2, jobs_service_pb2
from peftstudio.job.v1.artifact_pb2 import Artifact
from peftstudio.job.v1.job_state_pb2 import JOB_REASON_LOST, JOB_STATE_FAILED, JOB_STATE_RUNNING, JOB_STATE_SUCCEEDED
from tests.process.gateway.conftest import ended, eventually, expected, follow, laboratory, submit, wish
from tests.support.gateway_process import GatewayProcess, Stubs, gateway_process

pytestmark = pytest.mark.process


async def state(stubs: Stubs, job_id: str) -> int:
    return (await stubs.jobs.GetJob(jobs_service_pb2.GetJobRequest(job_id=job_id), timeout=10)).job.state


async def running(stubs: Stubs, **options: float) -> str:
    job_id = await submit(stubs, hold=True, **options)

    async def is_running() -> bool:
        return await state(stubs, job_id) == JOB_STATE_RUNNING

    await eventually(is_running)
    return job_id


async def refused(call: Awaitable[object]) -> tuple[grpc.StatusCode, str]:
    """Return the code and the reason that a call fails with."""
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await call
    info = error_details_pb2.ErrorInfo()
    status = rpc_status.from_call(failure.value)  # type: ignore[arg-type]
    assert status is not None, failure.value.details()
    assert any(detail.Unpack(info) for detail in status.details)
    return failure.value.code(), info.reason


async def lines(stubs: Stubs, **start: object) -> tuple[list[int], jobs_service_pb2.LogEnd]:
    """Read a log as far as it is there."""
    seqs: list[int] = []
    request = jobs_service_pb2.StreamLogsRequest(**start)  # type: ignore[arg-type]
    async for message in stubs.jobs.StreamLogs(request, timeout=30):
        seqs += [line.seq for line in message.lines]
        if message.HasField("end"):
            return seqs, message.end
    raise AssertionError("the log stream was cut")


async def test_jobs_whose_connection_was_closed_by_force_end_even_if_the_gateway_is_killed_at_once(
    gateway: GatewayProcess,
) -> None:
    async with laboratory(gateway) as stubs:
        job_ids = [await running(stubs, lines=3) for _ in range(2)]

        async def are_read() -> bool:
            return all([(await lines(stubs, job_id=job_id))[0] == [1, 2, 3] for job_id in job_ids])

        await eventually(are_read)
        request = connections_service_pb2.DisconnectRequest(connection_id="lab", force=True)
        await stubs.connections.Disconnect(request, timeout=30)
        await gateway.kill()
    await gateway.start()
    async with gateway.connected() as stubs:
        for job_id in job_ids:
            job = await ended(stubs, job_id)
            assert (job.state, job.reason) == (JOB_STATE_FAILED, JOB_REASON_LOST)
            assert job.platform_job_id in job.message
            seqs, end = await lines(stubs, job_id=job_id, follow=True)
            assert (seqs, end.final_state, end.complete) == ([1, 2, 3], JOB_STATE_FAILED, False)
    assert "Traceback" not in gateway.log_path.read_text()


async def test_the_log_of_a_job_that_runs_and_says_nothing_is_empty_and_not_complete(gateway: GatewayProcess) -> None:
    async with laboratory(gateway) as stubs:
        job_id = await running(stubs, lines=0)
        seqs, end = await lines(stubs, job_id=job_id)
        assert (seqs, end.last_seq, end.complete) == ([], 0, False)


async def test_every_place_to_start_in_a_log_works_at_its_ends(gateway: GatewayProcess) -> None:
    async with laboratory(gateway) as stubs:
        job_id = await submit(stubs, lines=5)
        await ended(stubs, job_id)
        assert await follow(stubs, job_id) == expected(5)
        assert await follow(stubs, job_id, after_seq=5) == []
        assert (await lines(stubs, job_id=job_id, tail=1000))[0] == [1, 2, 3, 4, 5]
        assert (await lines(stubs, job_id=job_id, tail=0))[0] == []
        assert (await lines(stubs, job_id=job_id, from_end=True, follow=True))[0] == []
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        assert (await lines(stubs, job_id=job_id, since=tomorrow, follow=True))[0] == []
        assert (await lines(stubs, job_id=job_id, since=datetime(1900, 1, 1, tzinfo=UTC)))[0] == [1, 2, 3, 4, 5]
        beyond = lines(stubs, job_id=job_id, after_seq=6, follow=True)
        assert await refused(beyond) == (grpc.StatusCode.OUT_OF_RANGE, "BAD_OFFSET")
        empty = await submit(stubs, lines=0)
        assert await follow(stubs, empty) == []
        assert (await ended(stubs, empty)).state == JOB_STATE_SUCCEEDED


async def test_an_empty_file_and_the_files_of_a_job_that_still_runs(gateway: GatewayProcess) -> None:
    async with laboratory(gateway) as stubs:
        job_id = await running(stubs, lines=1, artifact_bytes=0)
        request = artifacts_service_pb2.ListArtifactsRequest(job_id=job_id)
        (listed,) = (await stubs.artifacts.ListArtifacts(request, timeout=30)).artifacts
        assert (listed.path, listed.size) == ("weights.bin", 0)
        fetch = artifacts_service_pb2.FetchArtifactRequest(job_id=job_id, artifact_id="weights")
        for _ in range(2):
            whole = Artifact()
            async for message in stubs.artifacts.FetchArtifact(fetch, timeout=30):
                assert not message.chunk.data
                whole = message.artifact
            assert whole.sha256.startswith("e3b0c442")


async def test_names_of_any_length_are_answered_with_a_reason(gateway: GatewayProcess) -> None:
    long = "x" * 100_000
    async with laboratory(gateway) as stubs:
        job = jobs_service_pb2.GetJobRequest(job_id=long)
        assert await refused(stubs.jobs.GetJob(job, timeout=10)) == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
        file = artifacts_service_pb2.ListArtifactsRequest(job_id=long)
        assert await refused(stubs.artifacts.ListArtifacts(file, timeout=10)) == (
            grpc.StatusCode.NOT_FOUND,
            "NOT_FOUND",
        )
        token = jobs_service_pb2.ListJobsRequest(page_token="W1tb" * 50_000)
        assert await refused(stubs.jobs.ListJobs(token, timeout=10)) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "INVALID_CONFIG",
        )


async def test_a_list_of_jobs_with_much_configuration_comes_in_answers_that_every_client_accepts(
    gateway: GatewayProcess,
) -> None:
    async with laboratory(gateway) as stubs:
        request = wish(options={"lines": 1})
        request.config.options["note"] = "x" * 100_000
        made = [(await stubs.jobs.SubmitJob(request, timeout=30)).job.id for _ in range(50)]
        listed: list[str] = []
        token = ""
        while token or not listed:
            page = jobs_service_pb2.ListJobsRequest(page_token=token, page_size=1000, ascending=True)
            answer = await stubs.jobs.ListJobs(page, timeout=30)
            listed += [job.id for job in answer.jobs]
            token = answer.next_page_token
        assert listed == made
        many = jobs_service_pb2.BatchGetJobsRequest(job_ids=made)
        assert (await refused(stubs.jobs.BatchGetJobs(many, timeout=30)))[1] == "INVALID_CONFIG"
        request.config.options["note"] = "x" * 200_000
        assert (await refused(stubs.jobs.SubmitJob(request, timeout=30)))[1] == "INVALID_CONFIG"


async def test_a_staleness_of_zero_asks_the_platform(gateway: GatewayProcess) -> None:
    async with laboratory(gateway) as stubs:
        job_id = await running(stubs, lines=1)
        for _ in range(3):
            asked_at = datetime.now(UTC)
            request = jobs_service_pb2.GetJobRequest(job_id=job_id, max_staleness=Duration())
            job = (await stubs.jobs.GetJob(request, timeout=30)).job
            assert job.observed_at.ToDatetime(UTC) >= asked_at


async def test_a_gateway_can_listen_on_the_loopback_address_of_ipv6(tmp_path: Path) -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    async with gateway_process(tmp_path / "data", "--host", "::1") as gateway, laboratory(gateway) as stubs:
        assert (await ended(stubs, await submit(stubs))).state == JOB_STATE_SUCCEEDED
