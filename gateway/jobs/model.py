"""A job, and what can be said about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from gateway.catalog.model import Price


class JobState(StrEnum):
    """Where a job is in its life; the meanings are in `job_state.proto`."""

    SUBMITTING = "SUBMITTING"
    QUEUED = "QUEUED"
    PROVISIONING = "PROVISIONING"
    RUNNING = "RUNNING"
    FINALIZING = "FINALIZING"
    RECOVERING = "RECOVERING"
    PAUSING = "PAUSING"
    PAUSED = "PAUSED"
    RESUMING = "RESUMING"
    CANCELLING = "CANCELLING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_terminal(self) -> bool:
        """Whether the job has ended for good."""
        return self in TERMINAL


TERMINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})


class JobReason(StrEnum):
    """Why a job is in its state; the meanings are in `job_state.proto`."""

    UNSPECIFIED = "UNSPECIFIED"
    OK = "OK"
    USER_ERROR = "USER_ERROR"
    CONFIG_REJECTED = "CONFIG_REJECTED"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    EXIT_NONZERO = "EXIT_NONZERO"
    NO_CAPACITY = "NO_CAPACITY"
    PREEMPTED = "PREEMPTED"
    NODE_FAILED = "NODE_FAILED"
    PLATFORM_ERROR = "PLATFORM_ERROR"
    TIMEOUT = "TIMEOUT"
    BUDGET_EXCEEDED = "BUDGET_EXCEEDED"
    CANCELLED_BY_USER = "CANCELLED_BY_USER"
    CREDITS_EXHAUSTED = "CREDITS_EXHAUSTED"
    AUTH_REVOKED = "AUTH_REVOKED"
    SUBMIT_AMBIGUOUS = "SUBMIT_AMBIGUOUS"
    LOST = "LOST"


class ResourceState(StrEnum):
    """Whether something that may cost money is held for a job."""

    UNSPECIFIED = "UNSPECIFIED"
    NONE = "NONE"
    HELD = "HELD"
    RELEASE_REQUESTED = "RELEASE_REQUESTED"
    RELEASED = "RELEASED"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a job is."""

    percentage: float = 0.0
    """0 to 100."""
    step: int = 0
    total_steps: int = 0
    estimated_remaining_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What a connector saw when it looked at a job."""

    state: JobState | None
    """None where the connector's word is not known here; it then changes nothing."""
    reason: JobReason = JobReason.UNSPECIFIED
    message: str = ""
    raw_state: str = ""
    exit_code: int | None = None
    attempt: int = 1
    progress: Progress | None = None
    resource_state: ResourceState = ResourceState.UNSPECIFIED
    started_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedJob:
    """A job in a platform's own list."""

    platform_job_id: str
    submission_token: str
    created_at: datetime | None
    seen: Observation
    resource_id: str = ""
    price: Price | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One value of one metric."""

    name: str
    value: float
    step: int
    epoch: float
    time: datetime
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobConfig:
    """What to train. The gateway hands it on and looks only at what it must know."""

    base_model: str
    dataset_uri: str
    algorithm: str
    document: str
    """The whole TrainingConfig as canonical JSON: what is stored, hashed and sent on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLimits:
    """What a job may use at most; zero and None mean not limited."""

    max_cost_micros: int = 0
    max_duration: timedelta | None = None
    max_price_micros_per_hour: int = 0

    @property
    def are_watched(self) -> bool:
        """Whether a job can pass any of them while it runs; a price is checked once, before that."""
        return bool(self.max_cost_micros) or self.max_duration is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A stretch of time during which something that may cost money was held."""

    start: datetime
    end: datetime | None = None
    """None = it is still held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One training job, as the ledger has it."""

    id: str
    connection_id: str
    connector_id: str
    config: JobConfig
    submission_token: str
    created_at: datetime
    updated_at: datetime
    request_id: str = ""
    request_hash: str = ""
    resource_id: str = ""
    limits: JobLimits = field(default_factory=JobLimits)
    labels: Mapping[str, str] = field(default_factory=dict)
    state: JobState = JobState.SUBMITTING
    reason: JobReason = JobReason.UNSPECIFIED
    message: str = ""
    raw_state: str = ""
    platform_job_id: str = ""
    attempt: int = 1
    revision: int = 1
    progress: Progress | None = None
    exit_code: int | None = None
    resource_state: ResourceState = ResourceState.NONE
    started_at: datetime | None = None
    ended_at: datetime | None = None
    observed_at: datetime | None = None
    last_error: str = ""
    """Why the last look failed; empty = it did not, and the record is not stale."""
    last_log_seq: int = 0
    is_log_open: bool = True
    """Whether lines may still come; also behind the job's end, where its platform could not be asked for the rest."""
    price: Price | None = None
    holds: tuple[Hold, ...] = ()
    """What its cost is counted from, oldest first; only the last can be open."""
    tokens: int = 0
    """Tokens trained so far, as far as its metrics tell: what a price per token is counted from."""
    metrics_cursor: str = ""

    @property
    def is_waiting_here(self) -> bool:
        """Whether the gateway holds the job back: its platform does not have it, and was not called for it."""
        return not (self.platform_job_id or self.state.is_terminal) and self.resource_state is ResourceState.NONE

    @property
    def is_let_go(self) -> bool:
        """Whether its platform has ended it and holds nothing for it, though its end is not announced yet."""
        is_ending = self.state in (JobState.FINALIZING, JobState.CANCELLING)
        return is_ending and self.resource_state is ResourceState.RELEASED


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """Something that happened to a job."""

    job_id: str
    seq: int
    time: datetime
    kind: str
    state: JobState
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs are meant; conditions that are set must all hold."""

    job_id: str = ""
    connection_id: str = ""
    connector_id: str = ""
    states: frozenset[JobState] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)

    def matches(self, job: Job) -> bool:
        """Whether the job passes."""
        return (
            self.job_id in ("", job.id)
            and self.connection_id in ("", job.connection_id)
            and self.connector_id in ("", job.connector_id)
            and (not self.states or job.state in self.states)
            and all(job.labels.get(key) == value for key, value in self.labels.items())
        )
