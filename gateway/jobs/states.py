"""The rules by which a job changes its state. Pure: no I/O, and no clock of its own.

Skipping forward is legal, backward only by RECOVERING and RESUMING; terminal is sticky; an illegal report changes
nothing and is recorded. What a failed look brings (a time-out, a 429, a lost network) is no report and never comes
here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.errors import WrongState
from gateway.jobs import holds
from gateway.jobs.model import TERMINAL, Job, JobReason, JobState, Observation, ResourceState
from gateway.replacing import replace

_RANK = {
    JobState.SUBMITTING: 0,
    JobState.QUEUED: 1,
    JobState.PROVISIONING: 2,
    JobState.RUNNING: 3,
    JobState.FINALIZING: 4,
}
"""The straight way; a report may skip forward along it."""

_WAITING_FOR: dict[JobState, frozenset[JobState]] = {
    JobState.CANCELLING: frozenset(),
    JobState.PAUSING: frozenset({JobState.PAUSED, JobState.FINALIZING}),
    JobState.PAUSED: frozenset({JobState.RESUMING, JobState.RUNNING}),
    JobState.RESUMING: frozenset({JobState.RUNNING, JobState.FINALIZING}),
    JobState.RECOVERING: frozenset(
        {JobState.QUEUED, JobState.PROVISIONING, JobState.RUNNING, JobState.FINALIZING, JobState.PAUSED}
    ),
}
"""States off the straight way, and the reports short of an end that lead out of them."""

_LIMITS = frozenset({JobReason.TIMEOUT, JobReason.BUDGET_EXCEEDED})
"""Why the gateway itself cancels a job; the platform's confirmation does not know of it."""

_EARLY = frozenset({JobState.SUBMITTING, JobState.QUEUED, JobState.PROVISIONING})

STATUS = {
    JobState.SUBMITTING: "pending",
    JobState.QUEUED: "pending",
    JobState.PROVISIONING: "pending",
    JobState.RUNNING: "running",
    JobState.FINALIZING: "running",
    JobState.RECOVERING: "running",
    JobState.PAUSING: "running",
    JobState.PAUSED: "paused",
    JobState.RESUMING: "running",
    JobState.CANCELLING: "running",
    JobState.SUCCEEDED: "completed",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
}
"""The guide's word for each state."""


@dataclass(frozen=True, slots=True)
class Step:
    """A job as it now is, with the event that says why; no event = nothing worth telling happened."""

    job: Job
    kind: str = ""
    message: str = ""


def is_legal(old: JobState, new: JobState, *, is_new_attempt: bool = False) -> bool:
    """Whether a report of `new` may change a job in `old`."""
    if old in TERMINAL:
        return False
    if new in TERMINAL:
        return True
    if old in _WAITING_FOR:
        return new in _WAITING_FOR[old]
    if new is JobState.RECOVERING:
        return old not in _EARLY
    if is_new_attempt and old not in _EARLY:
        return True
    if new in (JobState.PAUSING, JobState.PAUSED):
        return True
    return new in _RANK and _RANK[new] > _RANK[old]


def observe(job: Job, seen: Observation, now: datetime) -> Step:
    """Apply what a connector saw."""
    if job.state.is_terminal:
        return _ignored(job, seen)
    since = job.observed_at or job.created_at
    is_new_attempt = seen.attempt > job.attempt
    # What the attempt before ended with says nothing of this one.
    seen = _proven(seen, None if is_new_attempt else job.exit_code)
    is_waited_for = seen.state is None or is_legal(job.state, seen.state, is_new_attempt=is_new_attempt)
    if not (is_waited_for or seen.state is job.state or job.state in _WAITING_FOR):
        return _ignored(replace(job, observed_at=now, last_error=""), seen)
    job = _details(job, seen, now, is_new_attempt=is_new_attempt)
    if seen.state is None or seen.state is job.state or not is_waited_for:
        # Also of a job that is being cancelled or paused: until that is done, it may begin to hold a machine.
        return Step(holds.held(job, seen, since, now))
    state = JobState.RECOVERING if is_new_attempt and _is_backward(job.state, seen.state) else seen.state
    reason = job.reason if state is JobState.CANCELLED and job.reason in _LIMITS else _reason(seen, state)
    began, ended = job.started_at, job.ended_at
    if state.is_terminal:
        ended = holds.within(began or job.created_at, seen.ended_at, now)
    elif state is JobState.RUNNING:
        began = began or now
    job = replace(job, state=state, reason=reason, message=seen.message, started_at=began, ended_at=ended)
    job = holds.held(job, seen, since, now)
    return Step(job, "state_changed", seen.message or f"the platform reports {seen.raw_state or state.lower()}")


def over(job: Job, seen: Observation, now: datetime) -> Step:
    """Note that the platform has ended a job of which log and files are still read: it holds nothing any more."""
    is_told = seen.resource_state is not ResourceState.UNSPECIFIED
    is_doubtful = job.resource_state in (ResourceState.UNKNOWN, ResourceState.RELEASE_REQUESTED)
    held = seen.resource_state if is_told or is_doubtful else ResourceState.RELEASED
    return observe(job, replace(seen, state=JobState.FINALIZING, resource_state=held), now)


def remarked(step: Step, remarks: Sequence[str]) -> Step:
    """Say besides, in the job and in its event, what people should know of an end."""
    told = [remark for remark in remarks if remark]
    if not told or not step.kind:
        return step
    message = "; ".join([step.job.message, *told] if step.job.message else told)
    return Step(replace(step.job, message=message), step.kind, "; ".join([step.message, *told]))


def fail(job: Job, reason: JobReason, message: str, now: datetime) -> Step:
    """End a job that the gateway itself knows to have failed."""
    if job.state.is_terminal:
        return Step(job)
    job = holds.closed(job, now)
    job = replace(job, state=JobState.FAILED, reason=reason, message=message, ended_at=now, last_error="")
    return Step(job, "state_changed", message)


def request_cancel(job: Job, reason: JobReason, message: str) -> Step:
    """Note that the job shall end, and why."""
    if job.state.is_terminal or job.state is JobState.CANCELLING:
        return Step(job)
    return Step(replace(job, state=JobState.CANCELLING, reason=reason, message=message), "cancel_requested", message)


def request_pause(job: Job) -> Step:
    """Note that the job shall pause.

    Raises:
        WrongState: The job is not training.

    """
    if job.state in (JobState.PAUSING, JobState.PAUSED):
        return Step(job)
    if job.is_waiting_here:
        raise WrongState(f"job {job.id} waits for its turn and has nothing to pause; cancel it, or let it wait")
    if job.state not in (JobState.QUEUED, JobState.PROVISIONING, JobState.RUNNING, JobState.RECOVERING):
        raise WrongState(f"job {job.id} is {job.state.lower()} and cannot be paused; only a job that waits or runs can")
    return Step(replace(job, state=JobState.PAUSING), "pause_requested", "a pause was requested")


def request_resume(job: Job) -> Step:
    """Note that the job shall go on.

    Raises:
        WrongState: The job is not paused.

    """
    if job.state in (JobState.RESUMING, JobState.RUNNING):
        return Step(job)
    if job.state is not JobState.PAUSED:
        raise WrongState(f"job {job.id} is {job.state.lower()} and cannot be resumed; only a paused job can")
    return Step(replace(job, state=JobState.RESUMING), "resume_requested", "going on was requested")


def refuse_wish(job: Job, message: str) -> Step:
    """Take back a pause or resume that the platform refused."""
    running = JobState.QUEUED if job.started_at is None else JobState.RUNNING
    before = {JobState.PAUSING: running, JobState.RESUMING: JobState.PAUSED}.get(job.state)
    return Step(job) if before is None else Step(replace(job, state=before), "wish_refused", message)


def cancelled_before_start(job: Job, now: datetime, message: str) -> Step:
    """End a cancelled job that the platform never heard of."""
    job = replace(
        job,
        state=JobState.CANCELLED,
        reason=JobReason.CANCELLED_BY_USER,
        message=message,
        last_error="",
        resource_state=ResourceState.NONE,
        ended_at=now,
    )
    return Step(job, "state_changed", job.message)


def _proven(seen: Observation, known_exit_code: int | None) -> Observation:
    """Let the exit code decide, of whichever look told it: many platforms call everything that ended a success."""
    exit_code = known_exit_code if seen.exit_code is None else seen.exit_code
    if seen.state is JobState.SUCCEEDED and exit_code:
        seen = replace(seen, exit_code=exit_code)
        message = seen.message or f"the training program ended with exit code {exit_code}"
        return replace(seen, state=JobState.FAILED, reason=_reason(seen, JobState.FAILED), message=message)
    return seen


def _is_backward(old: JobState, new: JobState) -> bool:
    return old in _RANK and new in _RANK and _RANK[new] <= _RANK[old]


def _details(job: Job, seen: Observation, now: datetime, *, is_new_attempt: bool) -> Job:
    exit_code = None if is_new_attempt else job.exit_code
    return replace(
        job,
        observed_at=now,
        last_error="",
        raw_state=seen.raw_state,
        attempt=max(job.attempt, seen.attempt),
        progress=seen.progress or job.progress,
        exit_code=exit_code if seen.exit_code is None else seen.exit_code,
        started_at=_started_at(job, seen, now),
        resource_state=_resources(job, seen),
    )


def _started_at(job: Job, seen: Observation, now: datetime) -> datetime | None:
    """Believe the platform within the job's life here: by a clock that is hours off, every job would be overdue."""
    if seen.started_at is None:
        return job.started_at
    # A start to come is a wrong clock; moved along with each look, it would never let a job be overdue.
    return max(seen.started_at, job.created_at) if seen.started_at <= now else job.started_at or now


def _resources(job: Job, seen: Observation) -> ResourceState:
    if seen.resource_state is not ResourceState.UNSPECIFIED:
        return seen.resource_state
    if seen.state is JobState.RUNNING:
        return ResourceState.HELD
    if seen.state in TERMINAL and job.resource_state is ResourceState.HELD:
        return ResourceState.RELEASED
    return job.resource_state


def _reason(seen: Observation, state: JobState) -> JobReason:
    if seen.reason is not JobReason.UNSPECIFIED:
        return seen.reason
    if state is JobState.CANCELLED:
        return JobReason.CANCELLED_BY_USER
    if state is JobState.FAILED:
        return JobReason.EXIT_NONZERO if seen.exit_code else JobReason.PLATFORM_ERROR
    return JobReason.OK


def _ignored(job: Job, seen: Observation) -> Step:
    if seen.state is None or seen.state is job.state:
        return Step(job)
    return Step(job, "report_ignored", f"a report of {seen.state.lower()} came while {job.state.lower()}")
