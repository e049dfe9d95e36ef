"""`GetMetrics` and `StreamMetrics`: what trainings measured, and how far they are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from gateway.api import requests
from gateway.errors import InvalidRequest
from gateway.jobs.model import Job, JobFilter, Metric
from gateway.jobs.service import Jobs
from gateway.jobs.thinning import thinned
from gateway.wire.jobs import metric_to_proto, progress_to_proto, state_to_proto
from peftstudio.gateway.v1 import jobs_service_pb2 as pb

DEFAULT_MAX_POINTS = 1000

MESSAGE_POINTS = 20_000
"""Points in one message: with the longest names they stay below the 4 MiB that every client accepts."""


class JobMetrics:
    """Answer calls about metrics."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    async def get(self, request: pb.GetMetricsRequest) -> pb.GetMetricsResponse:
        """Return points, thinned out where there are too many."""
        requests.require(job_id=request.job_id)
        if request.max_points < 0:
            raise InvalidRequest.of("max_points", f"is {request.max_points}; give 0 for {DEFAULT_MAX_POINTS}, or more")
        job = await self._jobs.get(request.job_id)
        asked = (job.id, request.names, request.from_step)
        counts = await self._jobs.ledger.metric_counts(*asked)
        fair = MESSAGE_POINTS // max(1, len(counts))
        most = max(1, min(request.max_points or DEFAULT_MAX_POINTS, fair))
        thin = await thinned(self._jobs.ledger.metric_stream(*asked), counts, most)
        return pb.GetMetricsResponse(
            metrics=[metric_to_proto(point) for point in thin], progress=progress_to_proto(job.progress)
        )

    async def stream(self, request: pb.StreamMetricsRequest) -> AsyncIterator[pb.StreamMetricsResponse]:
        """Yield all points there are, then those that come, until the job has ended."""
        requests.require(job_id=request.job_id)
        place = 0
        async for changes in self._jobs.watch(JobFilter(job_id=request.job_id), 0, hears_metrics=True):
            job = changes[-1].job if changes else await self._jobs.get(request.job_id)
            is_full = True
            while is_full:
                points, place = await self._jobs.ledger.metrics_behind(job.id, request.names, place, MESSAGE_POINTS)
                is_full = len(points) == MESSAGE_POINTS
                yield _message(job, points, is_last=job.state.is_terminal and not is_full)
            if job.state.is_terminal:
                return


def _message(job: Job, points: Sequence[Metric], *, is_last: bool) -> pb.StreamMetricsResponse:
    return pb.StreamMetricsResponse(
        metrics=[metric_to_proto(point) for point in points],
        progress=progress_to_proto(job.progress),
        final_state=state_to_proto(job.state if is_last else None),
    )
