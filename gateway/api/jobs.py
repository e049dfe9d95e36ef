"""`JobsService`: jobs and how they change. Logs and metrics are in modules of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import cast

from gateway.api import requests
from gateway.api.encoded_jobs import EncodedJobs
from gateway.api.fitting import MESSAGE_BYTES, fitting
from gateway.api.job_logs import JobLogs
from gateway.api.job_metrics import JobMetrics
from gateway.api.job_orphans import JobOrphans
from gateway.api.jobs_convert import event_to_proto, filter_from_proto, job_to_proto, wish_from_proto
from gateway.clock import Clock
from gateway.connections.service import Connections
from gateway.errors import GatewayError, InvalidRequest, Violation
from gateway.jobs.model import Job, JobFilter
from gateway.jobs.service import Jobs
from gateway.jobs.submissions import Submissions
from gateway.paging import PageRequest
from gateway.wire.time import duration_from_proto
from peftstudio.gateway.v1 import jobs_service_pb2 as pb
from peftstudio.gateway.v1 import jobs_service_pb2_grpc as pb_grpc


class JobsServicer(pb_grpc.JobsServiceServicer):
    """Answer calls about jobs; those that many make, with bytes that are in wire format already."""

    def __init__(
        self,
        jobs: Jobs,
        submissions: Submissions,
        logs: JobLogs,
        metrics: JobMetrics,
        orphans: JobOrphans,
        connections: Connections,
        clock: Clock,
    ) -> None:
        self._jobs = jobs
        self._submissions = submissions
        self._orphans = orphans
        self._logs = logs
        self._metrics = metrics
        self._connections = connections
        self._clock = clock
        self._encoded = EncodedJobs(jobs, clock)

    async def SubmitJob(self, request: pb.SubmitJobRequest, context: object) -> pb.SubmitJobResponse:
        if violations := requests.submit_violations(request):
            raise InvalidRequest([*violations, *await self._platform_violations(request, violations)])
        job, replayed = await self._submissions.submit(wish_from_proto(request), dry_run=request.dry_run)
        return pb.SubmitJobResponse(job=self._proto(job), replayed=replayed)

    async def GetJob(self, request: pb.GetJobRequest, context: object) -> pb.GetJobResponse:
        requests.require(job_id=request.job_id)
        staleness = None
        if request.HasField("max_staleness"):
            staleness = duration_from_proto(request.max_staleness) or timedelta(0)
        return cast("pb.GetJobResponse", self._encoded.field(await self._jobs.get(request.job_id, staleness)))

    async def BatchGetJobs(self, request: pb.BatchGetJobsRequest, context: object) -> pb.BatchGetJobsResponse:
        if len(request.job_ids) > requests.MAX_JOB_IDS:
            raise InvalidRequest.of("job_ids", f"are more than {requests.MAX_JOB_IDS}; ask in several calls")
        found = await self._jobs.ledger.get_many(request.job_ids)
        missing = [job_id for job_id in request.job_ids if job_id not in found]
        fields = [self._encoded.field(found[job_id]) for job_id in request.job_ids if job_id in found]
        fields.append(pb.BatchGetJobsResponse(missing_job_ids=missing).SerializeToString())
        answer = b"".join(fields)
        if len(answer) > MESSAGE_BYTES:
            raise InvalidRequest.of("job_ids", "are jobs too large for one answer together; ask in several calls")
        return cast("pb.BatchGetJobsResponse", answer)

    async def ListJobs(self, request: pb.ListJobsRequest, context: object) -> pb.ListJobsResponse:
        question = f"{request.filter.SerializeToString(deterministic=True).hex()}:{request.ascending}"
        page = PageRequest.parse(request.page_size, request.page_token, question)
        wanted = await self._filter(request.filter)
        found = await self._jobs.ledger.page(wanted, page.after, page.size + 1, ascending=request.ascending)
        fields = list(fitting(map(self._encoded.field, found[: page.size])))
        token = page.token(found[len(fields) - 1].id) if len(found) > len(fields) else ""
        fields.append(pb.ListJobsResponse(next_page_token=token).SerializeToString())
        return cast("pb.ListJobsResponse", b"".join(fields))

    async def WatchJobs(self, request: pb.WatchJobsRequest, context: object) -> AsyncIterator[pb.WatchJobsResponse]:
        wanted = await self._filter(request.filter, request.job_id)
        revision = request.since_revision
        async for changes in self._jobs.watch(wanted, request.since_revision):
            for change in changes:
                revision = max(revision, change.number)
                rest = pb.WatchJobsResponse(revision=revision).SerializeToString()
                yield cast("pb.WatchJobsResponse", self._encoded.field(change.job) + rest)
            if not changes:
                revision = max(revision, self._jobs.ledger.published)
                yield pb.WatchJobsResponse(revision=revision)

    async def CancelJob(self, request: pb.CancelJobRequest, context: object) -> pb.CancelJobResponse:
        requests.require(job_id=request.job_id)
        return pb.CancelJobResponse(job=self._proto(await self._jobs.cancel(request.job_id)))

    async def PauseJob(self, request: pb.PauseJobRequest, context: object) -> pb.PauseJobResponse:
        requests.require(job_id=request.job_id)
        return pb.PauseJobResponse(job=self._proto(await self._jobs.pause(request.job_id)))

    async def ResumeJob(self, request: pb.ResumeJobRequest, context: object) -> pb.ResumeJobResponse:
        requests.require(job_id=request.job_id)
        return pb.ResumeJobResponse(job=self._proto(await self._jobs.resume(request.job_id)))

    def StreamLogs(self, request: pb.StreamLogsRequest, context: object) -> AsyncIterator[pb.StreamLogsResponse]:
        return self._logs.stream(request)

    async def GetMetrics(self, request: pb.GetMetricsRequest, context: object) -> pb.GetMetricsResponse:
        return await self._metrics.get(request)

    def StreamMetrics(
        self, request: pb.StreamMetricsRequest, context: object
    ) -> AsyncIterator[pb.StreamMetricsResponse]:
        return self._metrics.stream(request)

    async def ListJobEvents(self, request: pb.ListJobEventsRequest, context: object) -> pb.ListJobEventsResponse:
        requests.require(job_id=request.job_id)
        page = PageRequest.parse(request.page_size, request.page_token, f"events:{request.job_id}")
        await self._jobs.get(request.job_id)
        found = await self._jobs.ledger.events(request.job_id, int(page.after or 0), page.size + 1)
        token = page.token(str(found[page.size - 1].seq)) if len(found) > page.size else ""
        return pb.ListJobEventsResponse(
            events=[event_to_proto(event) for event in found[: page.size]], next_page_token=token
        )

    async def ListOrphans(self, request: pb.ListOrphansRequest, context: object) -> pb.ListOrphansResponse:
        return await self._orphans.list(request)

    async def EndOrphan(self, request: pb.EndOrphanRequest, context: object) -> pb.EndOrphanResponse:
        return await self._orphans.end(request)

    async def _platform_violations(
        self, request: pb.SubmitJobRequest, violations: Sequence[Violation]
    ) -> Sequence[Violation]:
        """Have the platform check what is left of a request that is refused anyway: all that is wrong, at once."""
        rest = requests.without(request, violations)
        if rest is None:
            return ()
        try:
            await self._submissions.check(wish_from_proto(rest))
        except GatewayError as error:
            return error.violations
        return ()

    def _proto(self, job: Job) -> pb.Job:
        return job_to_proto(self._jobs.shown(job), self._clock.now())

    async def _filter(self, message: pb.JobFilter, job_id: str = "") -> JobFilter:
        connection = await self._connections.get(message.connection_id) if message.connection_id else None
        return filter_from_proto(message, connection.id if connection else "", job_id)
