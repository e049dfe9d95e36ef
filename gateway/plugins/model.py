"""What the gateway knows about a connector and its process."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


class ConnectorState(StrEnum):
    """Where a connector's process is in its life; the meanings are in `connectors_service.proto`."""

    DISCOVERED = "DISCOVERED"
    VERIFYING = "VERIFYING"
    STARTING = "STARTING"
    READY = "READY"
    DEGRADED = "DEGRADED"
    UNRESPONSIVE = "UNRESPONSIVE"
    CRASHED = "CRASHED"
    BACKOFF = "BACKOFF"
    FAILED = "FAILED"
    QUARANTINED = "QUARANTINED"
    DRAINING = "DRAINING"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    IDLE = "IDLE"
    ADOPTING = "ADOPTING"
    REAPING = "REAPING"
    ATTACHED = "ATTACHED"
    DISABLED = "DISABLED"


class LogSource(StrEnum):
    """How a platform's log can be continued after a cut."""

    CURSOR = "CURSOR"
    OFFSET = "OFFSET"
    REPLAY = "REPLAY"
    TAIL_ONLY = "TAIL_ONLY"


class SubmitSafety(StrEnum):
    """What keeps a submission from starting two jobs when its answer is lost."""

    KEYED = "KEYED"
    FINDABLE = "FINDABLE"
    NONE = "NONE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a connector says of itself."""

    name: str
    display_name: str = ""
    description: str = ""
    version: str = ""
    sdk: str = ""
    features: tuple[str, ...] = ()
    capabilities: frozenset[str] = frozenset()
    credentials_schema: str = "{}"
    """JSON Schema, as JSON."""
    options_schema: str = "{}"
    """JSON Schema, as JSON."""
    algorithms: tuple[str, ...] = ()
    log_source: LogSource = LogSource.REPLAY
    submit_safety: SubmitSafety = SubmitSafety.NONE
    requests_per_minute: int = 0
    concurrent_jobs: int = 0
    documentation_url: str = ""
    min_poll_interval: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorStatus:
    """One connector and its process, as they are now."""

    id: str
    display_name: str
    origin: str
    state: ConnectorState
    state_since: datetime
    message: str = ""
    restarts: int = 0
    next_attempt_at: datetime | None = None
    generation: int = 0
    pid: int = 0
    memory_bytes: int = 0
    cpu_seconds: float = 0.0
    digest: str = ""
    """Of its files, libraries and interpreter at its last start; empty before."""
    last_cause: str = ""
    """Class and cause of its last death; empty = none is known."""
    reload: str = ""
    """What became of the last change of its files; empty = there was none."""
    description: Description | None = None
    """None before the connector first ran."""


class ExitClass(StrEnum):
    """Why a connector's process ended, as far as it can be told."""

    REQUESTED = "requested"
    CLEAN = "clean"
    CONFIG = "config"
    TEMPORARY = "temporary"
    ERROR = "error"
    SIGNAL = "signal"
    OOM = "oom"
    UNRESPONSIVE = "unresponsive"
    START_TIMEOUT = "start_timeout"
    PROTOCOL_MISMATCH = "protocol_mismatch"
    DIGEST_MISMATCH = "digest_mismatch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """One death of a connector's process."""

    time: datetime
    generation: int
    exit_class: ExitClass
    exit_code: int | None = None
    signal: str = ""
    why: str = ""
    decision: str = ""
    last_lines: tuple[str, ...] = field(default=())
    record: str = ""
    """All that is known of it, as JSON."""
