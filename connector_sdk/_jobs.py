"""Do with a job what was asked, the author's way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from connector_sdk._catalog import to_price
from connector_sdk._observation import has_ended, to_observation
from connector_sdk._outbound import outbound
from connector_sdk._text import clean
from connector_sdk._times import to_timestamp
from connector_sdk.connector import PlatformConnector
from connector_sdk.errors import BadUpstreamError, InvalidConfigError, WrongStateError
from connector_sdk.models import FieldViolation, ListedJob, SubmitRequest, TrainingConfig
from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.job.v1 import job_state_pb2

Redact = Callable[[str], str]

MOST_AT_ONCE = 1000  # the contract's limit of a batch


async def submit(connector: PlatformConnector, request: SubmitRequest, dry_run: bool) -> str:
    """Start a job and return the platform's id, or with `dry_run` check everything and return nothing."""
    violations = _declared(connector, request.config)
    if dry_run:
        violations += await connector.check_config(request.config)
    if violations:
        raise InvalidConfigError(violations)
    if dry_run:
        return ""
    platform_job_id: object = await connector.submit(request)
    if platform_job_id is None or platform_job_id == "":
        raise BadUpstreamError("The platform gave no id for the job.")
    return str(platform_job_id)


async def look(connector: PlatformConnector, job_id: str, redact: Redact = str) -> job_state_pb2.JobObservation:
    """Look at one job."""
    said = await connector.get_job_status(job_id)
    with outbound("status"):
        return to_observation(said, redact)


async def look_at_many(
    connector: PlatformConnector, job_ids: Sequence[str], redact: Redact
) -> dict[str, job_state_pb2.JobObservation]:
    """Look at many jobs at once."""
    if len(job_ids) > MOST_AT_ONCE:
        raise InvalidConfigError([FieldViolation(field="platform_job_ids", description="has more than 1000 ids")])
    said = await connector.batch_get_job_status(list(job_ids))
    with outbound("status"):
        return {job_id: to_observation(one, redact) for job_id, one in said.items()}


async def list_jobs(connector: PlatformConnector, cursor: str, redact: Redact) -> pb.ListJobsResponse:
    """Give one page of the platform's own list."""
    listed, behind = await connector.list_jobs(cursor)
    if len(listed) > MOST_AT_ONCE:
        raise BadUpstreamError("The connector's list_jobs gave more than 1000 jobs in one page.")
    with outbound("list of jobs"):
        return pb.ListJobsResponse(jobs=[_listed(one, redact) for one in listed], next_cursor=behind)


async def cancel(connector: PlatformConnector, job_id: str) -> None:
    """End a job; one that has ended already is left alone where the author refuses."""
    if await connector.cancel_job(job_id) is False and not has_ended(await look(connector, job_id)):
        raise WrongStateError(f"The platform did not cancel the job {job_id}.")


async def pause(connector: PlatformConnector, job_id: str) -> None:
    """Pause a job."""
    if await connector.pause_job(job_id) is False:
        raise WrongStateError(f"The platform did not pause the job {job_id}.")


async def resume(connector: PlatformConnector, job_id: str) -> None:
    """Continue a paused job."""
    if await connector.resume_job(job_id) is False:
        raise WrongStateError(f"The platform did not resume the job {job_id}.")


def _listed(job: ListedJob, redact: Redact) -> pb.ListedJob:
    return pb.ListedJob(
        platform_job_id=clean(job.job_id),
        submission_token=clean(job.submission_token),
        created_at=to_timestamp(job.created_at),
        observation=to_observation(job.status, redact),
        resource_id=clean(job.resource_id),
        price=None if job.price is None else to_price(job.price, job.resource_id),
    )


def _declared(connector: PlatformConnector, config: TrainingConfig) -> list[FieldViolation]:
    if not connector.algorithms or config.algorithm in connector.algorithms:
        return []
    words = f"{config.algorithm!r} is not one of {', '.join(connector.algorithms)}"
    return [FieldViolation(field="config.algorithm", description=words)]
