"""The fake gateway's jobs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import grpc
from grpc import aio

from peftstudio.gateway.v1 import jobs_service_pb2 as pb
from peftstudio.gateway.v1.jobs_service_pb2_grpc import JobsServiceServicer
from peftstudio.job.v1.job_state_pb2 import (
    JOB_STATE_CANCELLED,
    JOB_STATE_PAUSED,
    JOB_STATE_QUEUED,
    JOB_STATE_RUNNING,
    JOB_STATE_UNSPECIFIED,
)
from peftstudio.job.v1.log_pb2 import LogLine
from tests.support.fake_gateway.refusal import not_found, refuse
from tests.support.fake_gateway.state import TERMINAL, FakeState

LINES_PER_MESSAGE = 3
HEARTBEAT_SECONDS = 0.05


class FakeJobs(JobsServiceServicer):
    """Jobs that never run: tests say what happens to them."""

    def __init__(self, state: FakeState) -> None:
        self._state = state

    async def SubmitJob(
        self, request: pb.SubmitJobRequest, context: aio.ServicerContext[pb.SubmitJobRequest, pb.SubmitJobResponse]
    ) -> pb.SubmitJobResponse:
        if request.connection_id not in self._state.connections:
            await not_found(context, "connection", request.connection_id)

        await self._check(request, context)
        if request.dry_run:
            return pb.SubmitJobResponse(job=pb.Job(connection_id=request.connection_id, config=request.config))

        known = [job for job in self._state.jobs.values() if job.request_id == request.request_id]
        job = known[0] if known else self._store(request)
        if self._state.faults.lost_submit_answers:
            self._state.faults.lost_submit_answers -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "connection lost")

        return pb.SubmitJobResponse(job=job, replayed=bool(known))

    async def _check(self, request: pb.SubmitJobRequest, context: object) -> None:
        violations = {}
        if not request.config.base_model:
            violations["config.base_model"] = "is required"

        if request.config.HasField("rank") and request.config.rank < 1:
            violations["config.rank"] = "must be at least 1"

        if violations:
            text = "; ".join(f"{name}: {why}" for name, why in violations.items())
            await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_CONFIG", text, violations)

    def _store(self, request: pb.SubmitJobRequest) -> pb.Job:
        job = self._state.add_job(f"job{len(self._state.jobs) + 1:05d}", JOB_STATE_QUEUED, request.connection_id)
        job.config.CopyFrom(request.config)
        job.limits.CopyFrom(request.limits)
        job.resource_id = request.resource_id
        job.request_id = request.request_id
        job.labels.update(request.labels)
        return job

    async def _job(self, job_id: str, context: object) -> pb.Job:
        if job_id not in self._state.jobs:
            await not_found(context, "job", job_id)

        return self._state.jobs[job_id]

    async def GetJob(
        self, request: pb.GetJobRequest, context: aio.ServicerContext[pb.GetJobRequest, pb.GetJobResponse]
    ) -> pb.GetJobResponse:
        return pb.GetJobResponse(job=await self._job(request.job_id, context))

    async def BatchGetJobs(
        self,
        request: pb.BatchGetJobsRequest,
        context: aio.ServicerContext[pb.BatchGetJobsRequest, pb.BatchGetJobsResponse],
    ) -> pb.BatchGetJobsResponse:
        jobs = self._state.jobs
        return pb.BatchGetJobsResponse(
            jobs=[jobs[job_id] for job_id in request.job_ids if job_id in jobs],
            missing_job_ids=[job_id for job_id in request.job_ids if job_id not in jobs],
        )

    async def ListJobs(
        self, request: pb.ListJobsRequest, context: aio.ServicerContext[pb.ListJobsRequest, pb.ListJobsResponse]
    ) -> pb.ListJobsResponse:
        jobs = [job for job in self._state.jobs.values() if _passes(job, request.filter)]
        if not request.ascending:
            jobs.reverse()

        # Two a page whatever is asked, so that every list of some length has several pages.
        start = int(request.page_token or 0)
        more = str(start + 2) if len(jobs) > start + 2 else ""
        return pb.ListJobsResponse(jobs=jobs[start : start + 2], next_page_token=more)

    async def WatchJobs(
        self, request: pb.WatchJobsRequest, context: aio.ServicerContext[pb.WatchJobsRequest, pb.WatchJobsResponse]
    ) -> AsyncIterator[pb.WatchJobsResponse]:
        cut = self._state.faults.watch_cuts.pop(0) if self._state.faults.watch_cuts else -1
        since, sent = request.since_revision, 0
        while True:
            for job in self._to_announce(request, since):
                since = max(since, job.revision)
                yield pb.WatchJobsResponse(job=job, revision=job.revision)
                sent += 1

            yield pb.WatchJobsResponse(revision=since)
            if sent >= cut >= 0:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "cut")

            await self._wait_for_change()

    def _to_announce(self, request: pb.WatchJobsRequest, since: int) -> list[pb.Job]:
        jobs = [job for job in self._state.jobs.values() if not request.job_id or job.id == request.job_id]
        if since == 0:
            return [job for job in jobs if job.state not in TERMINAL]

        return [job for job in jobs if job.revision > since]

    async def _wait_for_change(self) -> None:
        await wait_for_change(self._state)

    async def CancelJob(
        self, request: pb.CancelJobRequest, context: aio.ServicerContext[pb.CancelJobRequest, pb.CancelJobResponse]
    ) -> pb.CancelJobResponse:
        job = await self._job(request.job_id, context)
        if job.state not in TERMINAL:
            await self._state.end_job(job.id, JOB_STATE_CANCELLED)

        return pb.CancelJobResponse(job=job)

    async def PauseJob(
        self, request: pb.PauseJobRequest, context: aio.ServicerContext[pb.PauseJobRequest, pb.PauseJobResponse]
    ) -> pb.PauseJobResponse:
        job = await self._job(request.job_id, context)
        if job.state in TERMINAL:
            await refuse(context, grpc.StatusCode.FAILED_PRECONDITION, "WRONG_STATE", f"job {job.id} has ended")

        job.state = JOB_STATE_PAUSED
        return pb.PauseJobResponse(job=job)

    async def ResumeJob(
        self, request: pb.ResumeJobRequest, context: aio.ServicerContext[pb.ResumeJobRequest, pb.ResumeJobResponse]
    ) -> pb.ResumeJobResponse:
        job = await self._job(request.job_id, context)
        job.state = JOB_STATE_RUNNING
        return pb.ResumeJobResponse(job=job)

    async def StreamLogs(
        self, request: pb.StreamLogsRequest, context: aio.ServicerContext[pb.StreamLogsRequest, pb.StreamLogsResponse]
    ) -> AsyncIterator[pb.StreamLogsResponse]:
        job = await self._job(request.job_id, context)
        faults = self._state.faults
        cut = faults.log_cuts.pop(0) if faults.log_cuts else -1
        async for response in self._log(request, job):
            if cut == 0 and faults.quiet_cuts:
                return

            if cut == 0:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "cut")

            yield response
            cut -= 1

    async def _log(self, request: pb.StreamLogsRequest, job: pb.Job) -> AsyncIterator[pb.StreamLogsResponse]:
        log = self._state.logs[job.id]
        after = self._start(request, log)
        if after == 0 and job.id in self._state.gaps:
            after = self._state.gaps[job.id].to_seq
            yield pb.StreamLogsResponse(gap=self._state.gaps[job.id], next_after_seq=after)

        while True:
            while after < len(log):
                batch = log[after : after + LINES_PER_MESSAGE]
                after += len(batch)
                yield pb.StreamLogsResponse(lines=_filtered(batch, request), next_after_seq=after)

            if not request.follow or job.state in TERMINAL:
                final = job.state if job.state in TERMINAL else JOB_STATE_UNSPECIFIED
                end = pb.LogEnd(final_state=final, last_seq=len(log), complete=True)
                yield pb.StreamLogsResponse(next_after_seq=after, end=end)
                return

            yield pb.StreamLogsResponse(heartbeat=True, next_after_seq=after)
            await self._wait_for_change()

    def _start(self, request: pb.StreamLogsRequest, log: Sequence[LogLine]) -> int:
        match request.WhichOneof("start"):
            case "after_seq":
                return max(0, request.after_seq - self._state.faults.overlap_lines)
            case "tail":
                return max(0, len(log) - request.tail)
            case "from_end":
                return len(log)
            case _:
                return 0

    async def GetMetrics(
        self, request: pb.GetMetricsRequest, context: aio.ServicerContext[pb.GetMetricsRequest, pb.GetMetricsResponse]
    ) -> pb.GetMetricsResponse:
        job = await self._job(request.job_id, context)
        return pb.GetMetricsResponse(metrics=self._state.metrics.get(job.id, []), progress=job.progress)

    async def StreamMetrics(
        self,
        request: pb.StreamMetricsRequest,
        context: aio.ServicerContext[pb.StreamMetricsRequest, pb.StreamMetricsResponse],
    ) -> AsyncIterator[pb.StreamMetricsResponse]:
        job = await self._job(request.job_id, context)
        points = self._state.metrics.get(job.id, [])
        cut = self._state.faults.metric_cuts.pop(0) if self._state.faults.metric_cuts else len(points)
        yield pb.StreamMetricsResponse(metrics=points[:cut], progress=job.progress)
        if cut < len(points):
            await context.abort(grpc.StatusCode.UNAVAILABLE, "cut")

        while job.state not in TERMINAL:
            await self._wait_for_change()

        yield pb.StreamMetricsResponse(progress=job.progress, final_state=job.state)

    async def ListJobEvents(
        self,
        request: pb.ListJobEventsRequest,
        context: aio.ServicerContext[pb.ListJobEventsRequest, pb.ListJobEventsResponse],
    ) -> pb.ListJobEventsResponse:
        job = await self._job(request.job_id, context)
        return pb.ListJobEventsResponse(events=self._state.events.get(job.id, []))

    async def ListOrphans(
        self,
        request: pb.ListOrphansRequest,
        context: aio.ServicerContext[pb.ListOrphansRequest, pb.ListOrphansResponse],
    ) -> pb.ListOrphansResponse:
        return pb.ListOrphansResponse(orphans=self._state.orphans.values())

    async def EndOrphan(
        self,
        request: pb.EndOrphanRequest,
        context: aio.ServicerContext[pb.EndOrphanRequest, pb.EndOrphanResponse],
    ) -> pb.EndOrphanResponse:
        return pb.EndOrphanResponse(orphan=self._state.orphans.pop(request.platform_job_id))


async def wait_for_change(state: FakeState) -> None:
    """Wait until something changes, or for one heartbeat."""

    try:
        async with asyncio.timeout(HEARTBEAT_SECONDS), state.changed:
            await state.changed.wait()
    except TimeoutError:
        pass


def _passes(job: pb.Job, job_filter: pb.JobFilter) -> bool:
    return (
        job_filter.connection_id in ("", job.connection_id)
        and job_filter.connector_id in ("", job.connector_id)
        and (not job_filter.states or job.state in job_filter.states)
        and all(job.labels.get(key) == value for key, value in job_filter.labels.items())
    )


def _filtered(lines: Sequence[LogLine], request: pb.StreamLogsRequest) -> list[LogLine]:
    wanted = request.filter
    return [
        line for line in lines if wanted.contains in line.text and (not wanted.streams or line.stream in wanted.streams)
    ]
