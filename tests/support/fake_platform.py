"""A platform in memory: real enough to list, serve and take files, sell machines, and fail in the ways platforms do."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from gateway.artifacts.model import CHUNK_BYTES, Artifact, Piece, Upload
from gateway.catalog.model import Model, Price, Resource
from gateway.errors import CredentialsRejected, GatewayError, NotFound, Reason, RemoteError
from gateway.jobs.model import JobState, ListedJob, Metric, Observation
from gateway.platform import Platform, SourceBatch, SubmitOrder
from gateway.plugins.model import Description

Bytes = Callable[[int, int], bytes]
"""Gives the bytes of a file from an offset on, at most so many."""


@dataclass
class FakeFile:
    """One file, and what the platform says of it."""

    artifact: Artifact
    content: Bytes
    size: int


@dataclass
class Faults:
    """What goes wrong; each is undone by whoever set it, or wears off as it says."""

    cut_after: list[int] = field(default_factory=list)
    """One entry is taken by each read: it ends in an error after so many bytes."""
    refusals: list[GatewayError] = field(default_factory=list)
    """One entry is taken by each read, which raises it."""
    silent_cut: bool = False
    """Cuts end without an error."""
    wrong_reads: int = 0
    """So many reads give bytes with one bit turned."""
    ignores_offset: bool = False
    """Reads begin at the file's start whatever was asked for."""
    is_unauthorized: bool = False
    """Every call is answered with a 401."""
    gate: asyncio.Event | None = None
    """Reads and prices wait for it."""
    is_down: bool = False
    """Every call is answered with a 503."""


@dataclass
class FakePlatform:
    """One account."""

    files: dict[str, FakeFile] = field(default_factory=dict)
    machines: list[Resource] = field(default_factory=list)
    prices: dict[str, Price] = field(default_factory=dict)
    models: dict[str, Model] = field(default_factory=dict)
    jobs: dict[str, SubmitOrder] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    calls: list[str] = field(default_factory=list)
    described: Description | None = None
    piece_bytes: int = CHUNK_BYTES

    def put(self, path: str, data: bytes, **told: str) -> Artifact:
        """Have a file; by default the platform tells its size, checksum and etag."""
        digest = hashlib.sha256(data).hexdigest()
        artifact = Artifact(
            id=path,
            path=path,
            size=len(data),
            sha256=told.get("sha256", digest),
            etag=told.get("etag", f"etag-{digest[:8]}"),
        )
        self.files[path] = FakeFile(artifact, lambda offset, size: data[offset : offset + size], len(data))
        return artifact

    def tell(self, artifact: Artifact) -> None:
        """Say something else of a file."""
        self.files[artifact.id] = replace(self.files[artifact.id], artifact=artifact)

    def count(self, call: str) -> int:
        """Return how often a call arrived."""
        return sum(1 for seen in self.calls if seen.split()[0] == call)

    async def describe(self) -> Description:
        """Say who this is."""
        return Description(name="fake")

    async def verify(self) -> str:
        """Check nothing but the fault switch."""
        self._arrive("verify")
        return "fake-account"

    async def check(self, order: SubmitOrder) -> None:
        """Find nothing wrong."""
        self._arrive("check")

    async def submit(self, order: SubmitOrder) -> str:
        """Keep a job."""
        self._arrive("submit")
        self.jobs[f"remote-{order.job_id}"] = order
        return f"remote-{order.job_id}"

    async def find(self, submission_token: str) -> str:
        """Find a job by its token."""
        self._arrive("find")
        return next((key for key, order in self.jobs.items() if order.submission_token == submission_token), "")

    async def list_jobs(self) -> list[ListedJob]:
        """List the jobs."""
        self._arrive("list_jobs")
        seen = Observation(state=JobState.RUNNING)
        return [
            ListedJob(platform_job_id=key, submission_token=order.submission_token, created_at=None, seen=seen)
            for key, order in self.jobs.items()
        ]

    async def look(self, platform_job_ids: Sequence[str]) -> Mapping[str, Observation | Exception]:
        """See all jobs running."""
        self._arrive("look")
        return {job_id: Observation(state=JobState.RUNNING) for job_id in platform_job_ids}

    async def cancel(self, platform_job_id: str) -> None:
        """Take note."""
        self._arrive("cancel")

    async def pause(self, platform_job_id: str) -> None:
        """Take note."""
        self._arrive("pause")

    async def resume(self, platform_job_id: str) -> None:
        """Take note."""
        self._arrive("resume")

    async def logs(self, platform_job_id: str, *, cursor: str, after_line: int) -> AsyncGenerator[SourceBatch, None]:
        """Give an empty log."""
        self._arrive("logs")
        yield SourceBatch([], "", True)

    async def metrics(self, platform_job_id: str, cursor: str) -> tuple[list[Metric], str]:
        """Have none."""
        self._arrive("metrics")
        return [], cursor

    async def artifacts(self, platform_job_id: str) -> list[Artifact]:
        """List the files."""
        self._arrive("artifacts")
        return [file.artifact for file in self.files.values()]

    async def fetch(self, platform_job_id: str, artifact: Artifact, offset: int) -> AsyncIterator[Piece]:
        """Read a file, with whatever is to go wrong."""
        self._arrive(f"fetch {artifact.id} {offset}")
        if self.faults.refusals:
            raise self.faults.refusals.pop(0)
        file = self.files[artifact.id]
        if artifact.etag and artifact.etag != file.artifact.etag:
            raise RemoteError("the file changed", reason=Reason.ARTIFACT_CHANGED)
        limit = self.faults.cut_after.pop(0) if self.faults.cut_after else None
        flip = self._takes_wrong_read()
        sent = 0
        position = 0 if self.faults.ignores_offset else offset
        while position < file.size:
            if self.faults.gate:
                await self.faults.gate.wait()
            wanted = self.piece_bytes if limit is None else min(self.piece_bytes, limit - sent)
            if wanted <= 0:
                break
            data = file.content(position, wanted)
            yield Piece(position, _flipped(data) if flip else data)
            flip = False
            position, sent = position + len(data), sent + len(data)
        if position < file.size and not self.faults.silent_cut:
            raise GatewayError("the connection was cut", reason=Reason.PLATFORM_UNAVAILABLE)

    async def upload(self, upload: Upload, path: Path) -> str:
        """Take a file."""
        self._arrive("upload")
        self.uploads[upload.name] = await asyncio.to_thread(path.read_bytes)
        return f"hub://fake/{upload.name}"

    async def resources(self) -> list[Resource]:
        """List the machines."""
        self._arrive("resources")
        await self._wait()
        return list(self.machines)

    async def price(self, resource_id: str) -> Price:
        """Say what a machine costs."""
        self._arrive("price")
        await self._wait()
        if resource_id not in self.prices:
            raise NotFound("resource", resource_id)
        return self.prices[resource_id]

    async def search_models(self, query: str, limit: int) -> list[Model]:
        """Find models whose id has the words."""
        self._arrive("search_models")
        return [model for model_id, model in self.models.items() if query in model_id][:limit]

    async def model(self, model_id: str) -> Model:
        """Find one model."""
        self._arrive("model")
        if model_id not in self.models:
            raise NotFound("model", model_id)
        return self.models[model_id]

    def _arrive(self, call: str) -> None:
        self.calls.append(call)
        if self.faults.is_unauthorized:
            raise CredentialsRejected("the platform no longer accepts the credentials")
        if self.faults.is_down:
            raise GatewayError("the platform answered 503", reason=Reason.PLATFORM_UNAVAILABLE)

    async def _wait(self) -> None:
        if self.faults.gate:
            await self.faults.gate.wait()

    def _takes_wrong_read(self) -> bool:
        self.faults.wrong_reads -= 1
        return self.faults.wrong_reads >= 0


@dataclass
class FakePlatforms:
    """Finds fake platforms by the connection's id."""

    by_connection: dict[str, FakePlatform] = field(default_factory=dict)

    async def platform(self, connection_id: str) -> Platform:
        """Return the platform of a connection."""
        if connection_id not in self.by_connection:
            raise NotFound("connection", connection_id)
        return self.by_connection[connection_id]


def hourly(resource_id: str, amount_micros: int) -> Price:
    """Make a price per hour."""
    return Price(
        resource_id=resource_id, not_priced=False, amount_micros=amount_micros, as_of=datetime(2027, 1, 1, tzinfo=UTC)
    )


def _flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


@dataclass
class Deaf(FakePlatform):
    """A platform that does not end jobs."""

    refusal: GatewayError | None = None

    async def cancel(self, platform_job_id: str) -> None:
        """Refuse, or say yes and do nothing."""
        self.calls.append("cancel")
        if self.refusal:
            raise self.refusal
