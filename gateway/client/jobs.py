"""What can be done with jobs."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from datetime import datetime, timedelta

from google.protobuf.duration_pb2 import Duration

from gateway.client import job_streams
from gateway.client.errors import GatewayCallError
from gateway.client.log_cursor import LogCursor, LogStart
from gateway.client.pages import PAGE_SIZE, walk
from gateway.client.patience import DEFAULT_GIVE_UP_AFTER, Patience
from gateway.client.resume import retrying
from gateway.client.rpc import SLOW_UNARY_SECONDS, Rpc
from gateway.client.training_config import training_config
from peftstudio.gateway.v1 import jobs_service_pb2 as pb
from peftstudio.job.v1.log_pb2 import LogFilter, LogLine
from peftstudio.job.v1.training_config_pb2 import TrainingConfig

SUBMIT_GIVE_UP_AFTER = timedelta(seconds=15)
"""A restart of the gateway is sat out; whoever waits for a submission wants to hear of a dead gateway soon."""


class Jobs:
    """Training jobs on any platform."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    async def submit(
        self,
        connection: str,
        config: TrainingConfig | Mapping[str, object],
        *,
        resource_id: str = "",
        limits: pb.JobLimits | None = None,
        labels: Mapping[str, str] | None = None,
        request_id: str | None = None,
        dry_run: bool = False,
        give_up_after: timedelta = SUBMIT_GIVE_UP_AFTER,
    ) -> pb.Job:
        """Submit a job and return it as soon as the gateway has stored it.

        The call is repeated after a cut, under one request id: there will be one job, however often it was sent. Pass
        a `request_id` of your own to be able to repeat the call in another process.

        Raises:
            InvalidConfigError: The mapping has unknown keys or wrong types.
            GatewayCallError: The gateway or the platform refused it, with all violations.
        """
        request = pb.SubmitJobRequest(
            request_id=request_id if request_id is not None else str(uuid.uuid4()),
            connection_id=connection,
            config=training_config(config),
            resource_id=resource_id,
            limits=limits,
            labels=dict(labels or {}),
            dry_run=dry_run,
        )
        patience = Patience(self._rpc.now, give_up_after=give_up_after)
        response = await retrying(
            self._rpc,
            patience,
            lambda: self._rpc.unary(self._rpc.stubs.jobs.SubmitJob, request, SLOW_UNARY_SECONDS),
        )
        return response.job

    async def get(self, job_id: str, *, max_staleness: timedelta | None = None) -> pb.Job:
        """Get one job; with `max_staleness` the platform is asked first where the last look is older."""
        request = pb.GetJobRequest(job_id=job_id)
        if max_staleness is not None:
            request.max_staleness.CopyFrom(_duration(max_staleness))

        return (await self._rpc.unary(self._rpc.stubs.jobs.GetJob, request)).job

    async def get_many(self, job_ids: Iterable[str]) -> pb.BatchGetJobsResponse:
        """Get up to 1000 jobs at once, and the ids for which there is none."""
        return await self._rpc.unary(self._rpc.stubs.jobs.BatchGetJobs, pb.BatchGetJobsRequest(job_ids=list(job_ids)))

    def list(self, job_filter: pb.JobFilter | None = None, *, ascending: bool = False) -> AsyncGenerator[pb.Job, None]:
        """Yield jobs, newest first, page by page as they are needed."""

        async def page(token: str) -> pb.ListJobsResponse:
            request = pb.ListJobsRequest(filter=job_filter, page_size=PAGE_SIZE, page_token=token, ascending=ascending)
            return await self._rpc.unary(self._rpc.stubs.jobs.ListJobs, request)

        return walk(page, lambda answer: answer.jobs)

    async def cancel(self, job_id: str) -> pb.Job:
        """Ask for a job's end; an ended job stays as it is."""
        return (await self._rpc.unary(self._rpc.stubs.jobs.CancelJob, pb.CancelJobRequest(job_id=job_id))).job

    async def pause(self, job_id: str) -> pb.Job:
        """Ask for a pause behind a checkpoint."""
        return (await self._rpc.unary(self._rpc.stubs.jobs.PauseJob, pb.PauseJobRequest(job_id=job_id))).job

    async def resume(self, job_id: str) -> pb.Job:
        """Let a paused job go on."""
        return (await self._rpc.unary(self._rpc.stubs.jobs.ResumeJob, pb.ResumeJobRequest(job_id=job_id))).job

    async def orphans(self, connection: str = "") -> pb.ListOrphansResponse:
        """Ask platforms for remote jobs that the gateway submitted and does not follow; they may cost money."""
        request = pb.ListOrphansRequest(connection_id=connection)
        return await self._rpc.unary(self._rpc.stubs.jobs.ListOrphans, request, SLOW_UNARY_SECONDS)

    async def end_orphan(self, platform_job_id: str, connection: str = "") -> pb.Orphan:
        """End a remote job that the gateway does not follow, and return it as it was."""
        request = pb.EndOrphanRequest(connection_id=connection, platform_job_id=platform_job_id)
        return (await self._rpc.unary(self._rpc.stubs.jobs.EndOrphan, request, SLOW_UNARY_SECONDS)).orphan

    async def wait(
        self,
        job_id: str,
        timeout: timedelta | None = None,
        *,
        give_up_after: timedelta = DEFAULT_GIVE_UP_AFTER,
    ) -> pb.Job:
        """Wait until a job has ended, well or not, and return it.

        Raises:
            TimeoutError: It has not ended in that time; the job goes on.
        """
        return await job_streams.wait(self._rpc, self.get, job_id, timeout, give_up_after)

    def watch(
        self,
        job_filter: pb.JobFilter | None = None,
        *,
        job_id: str = "",
        since_revision: int = 0,
        give_up_after: timedelta = DEFAULT_GIVE_UP_AFTER,
    ) -> AsyncGenerator[pb.Job, None]:
        """Yield jobs whenever they change, without end; goes on by itself after a cut."""
        request = pb.WatchJobsRequest(filter=job_filter, job_id=job_id, since_revision=since_revision)
        return job_streams.watch(self._rpc, request, give_up_after)

    def logs(
        self,
        job_id: str,
        *,
        follow: bool = False,
        after_seq: int | None = None,
        tail: int | None = None,
        since: datetime | None = None,
        from_end: bool = False,
        line_filter: LogFilter | None = None,
        give_up_after: timedelta = DEFAULT_GIVE_UP_AFTER,
        on_cut: Callable[[GatewayCallError], None] | None = None,
    ) -> AsyncGenerator[LogLine, None]:
        """Yield each line of a job's log once and in order; goes on by itself after a cut.

        With `follow` it waits for what comes, until the job has ended. Lines that the gateway has lost are announced
        by a line of the system's in their place. `on_cut` hears of every break of the connection.

        Raises:
            GatewayCallError: The gateway refused, or was away for longer than `give_up_after`.
        """
        start = LogStart(after_seq=after_seq, tail=tail, since=since, from_end=from_end)
        cursor = LogCursor(job_id, start, follow=follow, line_filter=line_filter)
        return job_streams.logs(self._rpc, cursor, give_up_after, on_cut)

    async def metrics(
        self, job_id: str, *, names: Iterable[str] = (), from_step: int = 0, max_points: int = 0
    ) -> pb.GetMetricsResponse:
        """Get a job's metrics and progress, thinned out to `max_points` a name (0 = the gateway's 1000)."""
        request = pb.GetMetricsRequest(job_id=job_id, names=list(names), from_step=from_step, max_points=max_points)
        return await self._rpc.unary(self._rpc.stubs.jobs.GetMetrics, request)

    def follow_metrics(
        self, job_id: str, *, names: Iterable[str] = (), give_up_after: timedelta = DEFAULT_GIVE_UP_AFTER
    ) -> AsyncGenerator[pb.StreamMetricsResponse, None]:
        """Yield new points and progress until the job ends, each point once; the first has all that there are."""
        request = pb.StreamMetricsRequest(job_id=job_id, names=list(names))
        return job_streams.metrics(self._rpc, request, give_up_after)

    def events(self, job_id: str) -> AsyncGenerator[pb.JobEvent, None]:
        """Yield what happened to a job, oldest first."""

        async def page(token: str) -> pb.ListJobEventsResponse:
            request = pb.ListJobEventsRequest(job_id=job_id, page_size=PAGE_SIZE, page_token=token)
            return await self._rpc.unary(self._rpc.stubs.jobs.ListJobEvents, request)

        return walk(page, lambda answer: answer.events)


def _duration(length: timedelta) -> Duration:
    duration = Duration()
    duration.FromTimedelta(length)
    return duration
