"""A job that a connector runs itself: what is told of it arrives whole, in order, and from any cursor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector_sdk import CursorExpiredError, JobContext, JobStatus, LogRecord, PlatformConnector
from connector_sdk.testing import ConnectorHarness
from connectors.base import JobObservation, MetricPoint, TrainingConfig
from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.job.v1.job_state_pb2 import JOB_STATE_SUCCEEDED
from tests.support.sdk.required_connector import PlainConnector
from tests.support.sdk.rpc import SECONDS, submission

pytestmark = pytest.mark.wire


async def texts(job: JobContext, cursor: str = "") -> list[str]:
    async with asyncio.timeout(SECONDS):
        return [record.text async for record in job.lines_from(cursor)]


@given(pieces=st.lists(st.lists(st.sampled_from("abc"), min_size=1), max_size=8), start=st.integers(0, 5))
def test_every_follower_gets_every_line_once_whenever_it_comes(pieces: list[list[str]], start: int) -> None:
    asyncio.run(_follow(pieces, start))


async def _follow(pieces: list[list[str]], start: int) -> None:
    job = JobContext()
    early = [asyncio.create_task(texts(job)) for _ in range(3)]
    for piece in pieces:
        job.log("\n".join(piece))
        await asyncio.sleep(0)
    job.end(JobStatus.COMPLETED)
    written = [line for piece in pieces for line in piece]
    assert await asyncio.gather(*early) == [written] * 3
    cursor = str(min(start, len(written)))
    assert await texts(job, cursor) == written[int(cursor) :]


async def test_a_cursor_that_is_too_old_says_so() -> None:
    job = JobContext(most_lines=2)
    job.log("a\nb\nc")
    job.end(JobStatus.FAILED)
    assert await texts(job, "1") == ["b", "c"]
    with pytest.raises(CursorExpiredError):
        await texts(job)


async def test_an_end_stays() -> None:
    job = JobContext()
    job.start()
    job.progress(3, 10)
    job.end(JobStatus.FAILED, "out of memory", exit_code=137)
    job.end(JobStatus.COMPLETED)
    job.progress(4)
    seen = job.observation
    assert (seen.status, seen.message, seen.exit_code) == (JobStatus.FAILED, "out of memory", 137)
    assert seen.progress is not None
    assert (seen.progress.step, seen.started_at is not None, seen.ended_at is not None) == (3, True, True)


class HomeConnector(PlainConnector):
    """Runs its jobs itself."""

    async def submit_job(self, config: TrainingConfig) -> str:
        self.job = JobContext()
        self.job.start()
        for step in (1, 2):
            self.job.log(f"step {step}")
            self.job.metric("loss", 1 / step, step=step)
            self.job.progress(step, 2)
        self.job.end(JobStatus.COMPLETED)
        return "home"

    async def get_job_status(self, job_id: str) -> JobObservation:
        return self.job.observation

    def stream_logs_from(self, job_id: str, cursor: str) -> AsyncIterator[LogRecord]:
        return self.job.lines_from(cursor)

    async def get_metrics_since(self, job_id: str, cursor: str) -> tuple[list[MetricPoint], str]:
        return self.job.metrics_since(cursor)


async def test_it_is_all_that_a_connector_returns() -> None:
    assert issubclass(HomeConnector, PlatformConnector)
    async with ConnectorHarness(HomeConnector) as harness:
        await harness.connect()
        job_id = (await harness.stub.SubmitJob(submission(), timeout=SECONDS)).platform_job_id
        job: dict[str, Any] = {"connection_id": "c1", "platform_job_id": job_id}
        seen = (await harness.stub.GetJobStatus(pb.GetJobStatusRequest(**job), timeout=SECONDS)).observation
        logs = [one async for one in harness.stub.StreamLogs(pb.StreamLogsRequest(**job, cursor="1"), timeout=SECONDS)]
        first = await harness.stub.GetMetrics(pb.GetMetricsRequest(**job), timeout=SECONDS)
        behind = await harness.stub.GetMetrics(pb.GetMetricsRequest(**job, cursor=first.cursor), timeout=SECONDS)
    assert (seen.state, seen.progress.step) == (JOB_STATE_SUCCEEDED, 2)
    assert [line.text for message in logs for line in message.lines] == ["step 2"]
    assert ([point.value for point in first.metrics], list(behind.metrics)) == ([1.0, 0.5], [])
