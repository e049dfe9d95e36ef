"""What the fake gateway knows."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field

from peftstudio.gateway.v1.artifacts_service_pb2 import Dataset, StartUploadRequest
from peftstudio.gateway.v1.catalog_service_pb2 import Offer, OfferError
from peftstudio.gateway.v1.connections_service_pb2 import Connection
from peftstudio.gateway.v1.connectors_service_pb2 import Connector
from peftstudio.gateway.v1.jobs_service_pb2 import Job, JobEvent, Orphan
from peftstudio.job.v1.artifact_pb2 import ARTIFACT_KIND_ADAPTER, ARTIFACT_STATE_VERIFIED, Artifact, ArtifactKind
from peftstudio.job.v1.job_state_pb2 import (
    JOB_STATE_CANCELLED,
    JOB_STATE_FAILED,
    JOB_STATE_SUCCEEDED,
    JobState,
)
from peftstudio.job.v1.log_pb2 import LOG_STREAM_STDOUT, LogGap, LogLine
from peftstudio.job.v1.metric_pb2 import Metric
from peftstudio.job.v1.model_pb2 import Model
from peftstudio.job.v1.resource_pb2 import Resource

TERMINAL = frozenset({JOB_STATE_SUCCEEDED, JOB_STATE_FAILED, JOB_STATE_CANCELLED})


@dataclass(kw_only=True)
class Faults:
    """What goes wrong. Each number in a list spoils one stream, in order; an empty list spoils none."""

    log_cuts: list[int] = field(default_factory=list)
    """Messages that are sent before the stream breaks."""
    quiet_cuts: bool = False
    """Streams of logs end as if all were well, instead of with an error."""
    metric_cuts: list[int] = field(default_factory=list)
    watch_cuts: list[int] = field(default_factory=list)
    fetch_cuts: list[int] = field(default_factory=list)
    """Bytes that are sent before the stream breaks."""
    upload_cuts: list[int] = field(default_factory=list)
    """Bytes that are taken before the stream breaks."""
    corrupt_fetches: int = 0
    """So many fetches have a flipped bit in them."""
    with_crc32c: bool = True
    lost_submit_answers: int = 0
    """So many submissions are carried out and answered with UNAVAILABLE."""
    overlap_lines: int = 0
    """Resumed logs begin so many lines too early."""


@dataclass
class StoredFile:
    """A file of a job."""

    path: str
    data: bytes
    kind: ArtifactKind.ValueType = ARTIFACT_KIND_ADAPTER
    etag: str = "v1"

    def artifact(self) -> Artifact:
        """Describe the file."""
        return Artifact(
            id=self.path,
            kind=self.kind,
            path=self.path,
            size=len(self.data),
            sha256=hashlib.sha256(self.data).hexdigest(),
            etag=self.etag,
            state=ARTIFACT_STATE_VERIFIED,
            unsafe=self.path.endswith(".bin"),
        )


@dataclass
class StoredUpload:
    """An upload that was begun."""

    request: StartUploadRequest
    data: bytearray = field(default_factory=bytearray)


@dataclass
class FakeState:
    """All that there is; tests change it directly."""

    faults: Faults = field(default_factory=Faults)
    jobs: dict[str, Job] = field(default_factory=dict)
    logs: dict[str, list[LogLine]] = field(default_factory=dict)
    gaps: dict[str, LogGap] = field(default_factory=dict)
    metrics: dict[str, list[Metric]] = field(default_factory=dict)
    orphans: dict[str, Orphan] = field(default_factory=dict)
    events: dict[str, list[JobEvent]] = field(default_factory=dict)
    files: dict[str, list[StoredFile]] = field(default_factory=dict)
    uploads: dict[str, StoredUpload] = field(default_factory=dict)
    datasets: dict[str, Dataset] = field(default_factory=dict)
    registry: list[StartUploadRequest] = field(default_factory=list)
    connectors: dict[str, Connector] = field(default_factory=dict)
    connections: dict[str, Connection] = field(default_factory=dict)
    credentials: dict[str, dict[str, str]] = field(default_factory=dict)
    resources: list[Resource] = field(default_factory=list)
    offers: list[Offer] = field(default_factory=list)
    offer_errors: list[OfferError] = field(default_factory=list)
    models: list[Model] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    """Names of the methods that were called, in order."""
    fetched_bytes: int = 0
    revision: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def add_job(self, job_id: str, state: JobState.ValueType = JOB_STATE_SUCCEEDED, connection: str = "local") -> Job:
        """Add a job with an empty log."""
        job = Job(id=job_id, connection_id=connection, connector_id=connection, state=state, attempt=1, revision=1)
        job.status = status_of(state)
        job.config.base_model = "tiny/model"
        job.created_at.FromSeconds(1_700_000_000 + len(self.jobs))
        self.jobs[job_id] = job
        self.logs[job_id] = []
        return job

    def add_lines(self, job_id: str, *texts: str) -> None:
        """Append lines to a job's log."""
        log = self.logs[job_id]
        for text in texts:
            log.append(LogLine(seq=len(log) + 1, stream=LOG_STREAM_STDOUT, attempt=1, text=text))

        self.jobs[job_id].last_log_seq = len(log)

    async def announce(self) -> None:
        """Wake whoever follows something."""
        async with self.changed:
            self.changed.notify_all()

    async def end_job(self, job_id: str, state: JobState.ValueType = JOB_STATE_SUCCEEDED) -> None:
        """Let a job end."""
        self.jobs[job_id].state = state
        self.jobs[job_id].status = status_of(state)
        self.touch(job_id)
        await self.announce()

    def touch(self, job_id: str) -> None:
        """Count a change of a job."""
        self.revision += 1
        self.jobs[job_id].revision = self.revision


def status_of(state: JobState.ValueType) -> str:
    """Return the word that goes with a state."""
    words = {JOB_STATE_SUCCEEDED: "completed", JOB_STATE_FAILED: "failed", JOB_STATE_CANCELLED: "cancelled"}
    return words.get(state, "running")
