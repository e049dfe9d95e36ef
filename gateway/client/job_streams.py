"""The streams of a job, each as one unbroken stream however often the connection breaks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from datetime import timedelta

from gateway.client.errors import GatewayCallError
from gateway.client.log_cursor import LogCursor
from gateway.client.metric_cursor import MetricCursor
from gateway.client.patience import Patience
from gateway.client.resume import resuming, retrying
from gateway.client.rpc import STREAM_SECONDS, Rpc
from peftstudio.gateway.v1 import jobs_service_pb2 as pb
from peftstudio.job.v1.job_state_pb2 import (
    JOB_STATE_CANCELLED,
    JOB_STATE_FAILED,
    JOB_STATE_SUCCEEDED,
    JOB_STATE_UNSPECIFIED,
)
from peftstudio.job.v1.log_pb2 import LogLine

TERMINAL_STATES = frozenset({JOB_STATE_SUCCEEDED, JOB_STATE_FAILED, JOB_STATE_CANCELLED})

IDLE_SECONDS = 45.0
"""Three times the interval in which the gateway gives a sign of life on logs and watches."""


async def logs(
    rpc: Rpc,
    cursor: LogCursor,
    give_up_after: timedelta,
    on_cut: Callable[[GatewayCallError], None] | None = None,
) -> AsyncGenerator[LogLine, None]:
    """Yield each line once, from where the cursor stands to the end of the log."""
    stream = resuming(
        rpc,
        Patience(rpc.now, give_up_after=give_up_after),
        lambda: rpc.stream(rpc.stubs.jobs.StreamLogs, cursor.request(), idle=IDLE_SECONDS),
        lambda response: response.HasField("end"),
        on_cut,
    )
    async with aclosing(stream) as responses:
        async for response in responses:
            for line in cursor.accept(response):
                yield line


async def metrics(
    rpc: Rpc, request: pb.StreamMetricsRequest, give_up_after: timedelta
) -> AsyncGenerator[pb.StreamMetricsResponse, None]:
    """Yield each point once, until the message with the job's last state."""
    cursor = MetricCursor()

    def open_stream() -> AsyncGenerator[pb.StreamMetricsResponse, None]:
        cursor.reopened()
        return rpc.stream(rpc.stubs.jobs.StreamMetrics, request)

    stream = resuming(
        rpc,
        Patience(rpc.now, give_up_after=give_up_after),
        open_stream,
        lambda response: response.final_state != JOB_STATE_UNSPECIFIED,
    )
    async with aclosing(stream) as responses:
        async for response in responses:
            yield cursor.accept(response)


async def watch(rpc: Rpc, request: pb.WatchJobsRequest, give_up_after: timedelta) -> AsyncGenerator[pb.Job, None]:
    """Yield jobs as they change."""
    async with aclosing(_watch(rpc, request, give_up_after, lambda: STREAM_SECONDS)) as responses:
        async for response in responses:
            if response.HasField("job"):
                yield response.job


async def wait(
    rpc: Rpc,
    get: Callable[[str], Awaitable[pb.Job]],
    job_id: str,
    timeout: timedelta | None,
    give_up_after: timedelta,
) -> pb.Job:
    """Return a job once it has ended."""
    deadline = None if timeout is None else rpc.now() + timeout.total_seconds()

    def remaining() -> float:
        if deadline is None:
            return STREAM_SECONDS

        if rpc.now() >= deadline:
            raise TimeoutError(f"job {job_id} has not ended within {timeout}; it goes on")

        return min(STREAM_SECONDS, deadline - rpc.now())

    async def look() -> pb.Job:
        return await retrying(rpc, Patience(rpc.now, give_up_after=give_up_after), lambda: get(job_id))

    job = await look()
    if job.state in TERMINAL_STATES:
        return job

    request = pb.WatchJobsRequest(job_id=job_id)
    async with aclosing(_watch(rpc, request, give_up_after, remaining)) as responses:
        async for response in responses:
            # A watch begins with jobs that have not ended: one that ended just before it is never announced.
            job = response.job if response.HasField("job") else await look()
            if job.state in TERMINAL_STATES:
                return job

            remaining()

    raise AssertionError("a watch has no end")


async def _watch(
    rpc: Rpc, request: pb.WatchJobsRequest, give_up_after: timedelta, timeout: Callable[[], float]
) -> AsyncGenerator[pb.WatchJobsResponse, None]:
    point = request.since_revision

    def open_stream() -> AsyncGenerator[pb.WatchJobsResponse, None]:
        here = pb.WatchJobsRequest(filter=request.filter, job_id=request.job_id, since_revision=point)
        return rpc.stream(rpc.stubs.jobs.WatchJobs, here, timeout=timeout(), idle=IDLE_SECONDS)

    stream = resuming(rpc, Patience(rpc.now, give_up_after=give_up_after), open_stream, lambda _: False)
    async with aclosing(stream) as responses:
        async for response in responses:
            point = max(point, response.revision)
            yield response
