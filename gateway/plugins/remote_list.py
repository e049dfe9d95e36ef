"""Reads a platform's own list of jobs."""

from __future__ import annotations

from datetime import UTC, datetime

from gateway.errors import Reason, RemoteError
from gateway.jobs.model import ListedJob
from gateway.plugins.calls import Caller
from gateway.priority import Priority
from gateway.wire.catalog import price_from_proto
from gateway.wire.jobs import observation_from_proto
from gateway.wire.time import time_from_proto
from peftstudio.connector.v1 import connector_service_pb2 as pb

LIST_CAPABILITY = "list_jobs"
MOST_PAGES = 100
"""Of 1000 jobs each; a list that goes on behind them goes in circles."""


async def list_jobs(caller: Caller) -> list[ListedJob]:
    """Return all jobs that the platform lists.

    Raises:
        RemoteError: The list does not end (BAD_UPSTREAM): half a list would make jobs look lost.

    """
    found: list[ListedJob] = []
    cursor = ""
    for _ in range(MOST_PAGES):
        page = await _page(caller, cursor)
        found += [_listed(job) for job in page.jobs]
        cursor = page.next_cursor
        if not cursor:
            return found
    text = f"the list of jobs has more than {MOST_PAGES} pages; its cursors probably go in circles"
    raise RemoteError(text, reason=Reason.BAD_UPSTREAM)


async def _page(caller: Caller, cursor: str) -> pb.ListJobsResponse:
    request = pb.ListJobsRequest(connection_id=caller.connection_id, cursor=cursor)
    return await caller.ask(lambda stub: stub.ListJobs, request, capability=LIST_CAPABILITY, priority=Priority.POLL)


def _listed(job: pb.ListedJob) -> ListedJob:
    return ListedJob(
        platform_job_id=job.platform_job_id,
        submission_token=job.submission_token,
        created_at=time_from_proto(job.created_at),
        seen=observation_from_proto(job.observation),
        resource_id=job.resource_id,
        price=price_from_proto(job.price, received_at=datetime.now(UTC)) if job.HasField("price") else None,
    )
