"""Write what an author says about a job as the observation that travels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from connector_sdk._text import cut
from connector_sdk._times import to_timestamp
from connector_sdk.models import JobObservation, JobStatus
from peftstudio.job.v1 import job_state_pb2 as pb

LONGEST_MESSAGE_BYTES = 1024
LONGEST_RAW_STATE_BYTES = 256

STATE_OF_STATUS: Mapping[JobStatus, pb.JobState.ValueType] = MappingProxyType(
    {
        JobStatus.PENDING: pb.JOB_STATE_QUEUED,
        JobStatus.RUNNING: pb.JOB_STATE_RUNNING,
        JobStatus.PAUSED: pb.JOB_STATE_PAUSED,
        JobStatus.COMPLETED: pb.JOB_STATE_SUCCEEDED,
        JobStatus.FAILED: pb.JOB_STATE_FAILED,
        JobStatus.CANCELLED: pb.JOB_STATE_CANCELLED,
    }
)

STATE_OF_PHASE: Mapping[str, pb.JobState.ValueType] = MappingProxyType(
    {
        "queued": pb.JOB_STATE_QUEUED,
        "provisioning": pb.JOB_STATE_PROVISIONING,
        "running": pb.JOB_STATE_RUNNING,
        "finalizing": pb.JOB_STATE_FINALIZING,
        "pausing": pb.JOB_STATE_PAUSING,
        "resuming": pb.JOB_STATE_RESUMING,
    }
)

STATUS_OF_WORD: Mapping[str, JobStatus] = MappingProxyType(
    {
        **{status.value: status for status in JobStatus},
        "queued": JobStatus.PENDING,
        "submitted": JobStatus.PENDING,
        "in_progress": JobStatus.RUNNING,
        "training": JobStatus.RUNNING,
        "succeeded": JobStatus.COMPLETED,
        "success": JobStatus.COMPLETED,
        "error": JobStatus.FAILED,
        "canceled": JobStatus.CANCELLED,
    }
)
"""The guide's words, and other spellings that cannot mean anything else. "exited" and "stopped" can."""

REASONS: Mapping[str, pb.JobReason.ValueType] = MappingProxyType(dict(pb.JobReason.items()))

ENDED = frozenset({pb.JOB_STATE_SUCCEEDED, pb.JOB_STATE_FAILED, pb.JOB_STATE_CANCELLED})


def to_observation(said: str | JobStatus | JobObservation, redact: Callable[[str], str] = str) -> pb.JobObservation:
    """Write a status; a word that nobody knows gives no state, and is kept as it is. Words for people pass `redact`."""
    if isinstance(said, JobObservation):
        return _in_full(said, redact)
    word = said.value if isinstance(said, JobStatus) else str(said)
    status = STATUS_OF_WORD.get(word.strip().lower())
    state = STATE_OF_STATUS[status] if status else pb.JOB_STATE_UNSPECIFIED
    raw_state = cut(redact(word), LONGEST_RAW_STATE_BYTES)
    return pb.JobObservation(state=state, raw_state=raw_state, attempt=1, resource_state=_resource_state(state))


def has_ended(observation: pb.JobObservation) -> bool:
    """Tell whether the job will not change any more."""
    return observation.state in ENDED


def _in_full(said: JobObservation, redact: Callable[[str], str]) -> pb.JobObservation:
    ended = STATE_OF_STATUS[said.status] in ENDED
    state = STATE_OF_PHASE[said.phase] if said.phase and not ended else STATE_OF_STATUS[said.status]
    observation = pb.JobObservation(
        state=state,
        reason=_reason(said.reason),
        message=cut(redact(said.message), LONGEST_MESSAGE_BYTES),
        raw_state=cut(redact(said.raw_state or said.status.value), LONGEST_RAW_STATE_BYTES),
        exit_code=said.exit_code,
        attempt=said.attempt,
        resource_state=_resource_state(state, said.resource_held),
        started_at=to_timestamp(said.started_at),
        ended_at=to_timestamp(said.ended_at),
    )
    if said.progress:
        observation.progress.CopyFrom(pb.Progress(**said.progress.model_dump()))
    return observation


def _reason(name: str) -> pb.JobReason.ValueType:
    return REASONS.get(f"JOB_REASON_{name.upper()}", pb.JOB_REASON_UNSPECIFIED)


def _resource_state(state: pb.JobState.ValueType, held: bool | None = None) -> pb.ResourceState.ValueType:
    """Tell whether something is held, from the state where the author does not say."""
    if held is not None:
        return pb.RESOURCE_STATE_HELD if held else pb.RESOURCE_STATE_RELEASED
    if state in ENDED:
        return pb.RESOURCE_STATE_RELEASED
    if state == pb.JOB_STATE_QUEUED:
        return pb.RESOURCE_STATE_NONE
    if state in (pb.JOB_STATE_UNSPECIFIED, pb.JOB_STATE_PAUSED):
        return pb.RESOURCE_STATE_UNKNOWN
    return pb.RESOURCE_STATE_HELD
