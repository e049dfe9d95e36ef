"""Jobs, to and from the messages of `JobsService`."""

from __future__ import annotations

from datetime import datetime

from gateway.jobs import limits
from gateway.jobs.model import Job, JobEvent, JobFilter, JobLimits
from gateway.jobs.states import STATUS
from gateway.jobs.submissions import Wish
from gateway.wire.catalog import price_to_proto
from gateway.wire.jobs import (
    config_from_proto,
    config_to_proto,
    progress_to_proto,
    reason_to_proto,
    resource_state_to_proto,
    state_from_proto,
    state_to_proto,
)
from gateway.wire.time import duration_from_proto, duration_to_proto, time_to_proto
from peftstudio.gateway.v1 import jobs_service_pb2 as pb


def job_to_proto(job: Job, now: datetime) -> pb.Job:
    """Convert a job; `now` is what an open job's cost is counted to."""
    return pb.Job(
        id=job.id,
        connection_id=job.connection_id,
        connector_id=job.connector_id,
        config=config_to_proto(job.config),
        resource_id=job.resource_id,
        limits=_limits_to_proto(job.limits),
        labels=job.labels,
        state=state_to_proto(job.state),
        status=STATUS[job.state],
        reason=reason_to_proto(job.reason),
        message=job.message,
        raw_state=job.raw_state,
        platform_job_id=job.platform_job_id,
        attempt=job.attempt,
        revision=job.revision,
        progress=progress_to_proto(job.progress),
        exit_code=job.exit_code,
        resource_state=resource_state_to_proto(job.resource_state),
        cost=cost_to_proto(job, now),
        created_at=time_to_proto(job.created_at),
        updated_at=time_to_proto(job.updated_at),
        started_at=time_to_proto(job.started_at),
        ended_at=time_to_proto(job.ended_at),
        observed_at=time_to_proto(job.observed_at),
        stale=bool(job.last_error),
        last_error=job.last_error,
        last_log_seq=job.last_log_seq,
        request_id=job.request_id,
        price=None if job.price is None else price_to_proto(job.price),
    )


def cost_to_proto(job: Job, now: datetime) -> pb.JobCost:
    """Convert what a job cost until now."""
    cost = limits.cost(job, now)
    return pb.JobCost(
        amount_micros=cost.amount_micros,
        currency=cost.currency,
        not_priced=cost.is_not_priced,
        held=duration_to_proto(limits.held_time(job, now)) if job.holds else None,
    )


def wish_from_proto(request: pb.SubmitJobRequest) -> Wish:
    """Convert a submission that was found to be in order."""
    asked = request.limits
    return Wish(
        connection_id=request.connection_id,
        config=config_from_proto(request.config),
        request_id=request.request_id,
        resource_id=request.resource_id,
        limits=JobLimits(
            max_cost_micros=asked.max_cost_micros,
            max_duration=duration_from_proto(asked.max_duration) if asked.HasField("max_duration") else None,
            max_price_micros_per_hour=asked.max_price_micros_per_hour,
        ),
        labels=dict(request.labels),
    )


def filter_from_proto(message: pb.JobFilter, connection_id: str, job_id: str = "") -> JobFilter:
    """Convert a filter, with its connection already looked up; states that are not known here match no job."""
    states = frozenset(state for number in message.states if (state := state_from_proto(number)))
    return JobFilter(
        job_id=job_id,
        connection_id=connection_id,
        connector_id=message.connector_id,
        states=states,
        labels=dict(message.labels),
    )


def event_to_proto(event: JobEvent) -> pb.JobEvent:
    """Convert an event."""
    return pb.JobEvent(
        seq=event.seq,
        time=time_to_proto(event.time),
        kind=event.kind,
        state=state_to_proto(event.state),
        message=event.message,
    )


def _limits_to_proto(asked: JobLimits) -> pb.JobLimits | None:
    if asked == JobLimits():
        return None
    return pb.JobLimits(
        max_cost_micros=asked.max_cost_micros,
        max_duration=duration_to_proto(asked.max_duration),
        max_price_micros_per_hour=asked.max_price_micros_per_hour,
    )
