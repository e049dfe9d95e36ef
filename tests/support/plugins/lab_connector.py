"""A platform on disk, for tests: real files with state that outlives the process, and as many bytes as are wished.

A job is a folder with its log; `options` say what it is like: `lines` (how many), `pace` (lines a second, 0 = at
once), `artifact_bytes`, `digest` (their sha256 is told), `hold` (stays running until a file `release` appears in its
folder), `dies` (the connector dies between the job's start and its answer),
`late` (the log cannot be had until a file `loggable` appears in its folder), `metered` (no more bytes of its artifact
can be had than the number in a file `given` in its folder).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar, Literal, TypedDict

from pydantic import JsonValue

from connector_sdk.errors import NotFoundError
from connector_sdk.models import ArtifactInfo, JobObservation, LogRecord, MetricPoint, SubmitRequest
from connectors.base import JobStatus, PlatformConnector, PricingInfo, Resource, TrainingConfig

BLOCK = bytes(range(256)) * 1024


class Spec(TypedDict):
    """What a job is like."""

    lines: int
    pace: float
    artifact_bytes: int
    hold: bool
    digest: bool
    dies: bool
    late: bool
    metered: bool
    started_at: float


class LabConnector(PlatformConnector):
    """Keeps jobs as folders; a job's state follows from the time that has passed."""

    name = "lab"
    display_name = "Laboratory"
    description = "A platform on disk."
    version = "1.0.0"
    supports_registry = True
    submit_safety: ClassVar[Literal["keyed", "findable", "none"]] = "keyed"
    min_poll_interval_seconds: ClassVar[float | None] = 0.1
    credentials_schema: ClassVar[dict[str, JsonValue]] = {
        "type": "object",
        "properties": {"api_key": {"type": "string", "secret": True}},
        "required": ["api_key"],
    }

    async def connect(self, credentials: dict[str, str]) -> bool:
        if credentials["api_key"] == "revoked":
            return False
        self.account = "lab-user"
        self.jobs = self.work_dir / "jobs"
        self.jobs.mkdir(exist_ok=True)
        return True

    async def verify_connection(self) -> bool:
        return True

    async def disconnect(self) -> None:
        return None

    async def submit_job(self, config: TrainingConfig) -> str:
        raise NotImplementedError

    async def submit(self, request: SubmitRequest) -> str:
        folder = self.jobs / request.submission_token
        folder.mkdir(exist_ok=True)
        spec = {
            "lines": 10,
            "pace": 0,
            "artifact_bytes": 1000,
            "hold": False,
            "digest": False,
            "dies": False,
            "late": False,
            "metered": False,
            **request.config.options,
        }
        spec["started_at"] = time.time()
        if not (folder / "spec.json").exists():
            # Whole or not at all: the connector may be killed at any moment.
            (folder / ".spec").write_text(json.dumps(spec))
            (folder / ".spec").rename(folder / "spec.json")
            self.note(folder, "submitted")
            if spec["dies"]:
                # The machine is rented, and nobody was told.
                os._exit(1)
        return folder.name

    async def get_job_status(self, job_id: str) -> JobObservation:
        folder, spec = self.find(job_id)
        if (folder / "cancelled").exists():
            return JobObservation(status=JobStatus.CANCELLED, raw_state="GONE")
        if self.written(spec) < spec["lines"] or (spec["hold"] and not (folder / "release").exists()):
            return JobObservation(status=JobStatus.RUNNING, raw_state="BUSY")
        return JobObservation(status=JobStatus.COMPLETED, raw_state="DONE", exit_code=0)

    async def cancel_job(self, job_id: str) -> None:
        (self.find(job_id)[0] / "cancelled").touch()

    async def stream_logs(self, job_id: str) -> AsyncIterator[str]:
        async for record in self.stream_logs_from(job_id, ""):
            yield record.text

    async def stream_logs_from(self, job_id: str, cursor: str) -> AsyncIterator[LogRecord]:
        folder, spec = self.find(job_id)
        if spec["late"] and not (folder / "loggable").exists():
            raise ConnectionError("the log cannot be had yet")
        self.note(folder, "log opened")
        try:
            number = int(cursor or 0)
            while True:
                ended = (await self.get_job_status(job_id)).status is not JobStatus.RUNNING
                while number < self.written(spec):
                    number += 1
                    yield LogRecord(text=f"line {number} of {spec['lines']}", cursor=str(number))
                if ended:
                    return
                await asyncio.sleep(0.02)
        finally:
            self.note(folder, "log closed")

    async def get_metrics_since(self, job_id: str, cursor: str) -> tuple[list[MetricPoint], str]:
        _, spec = self.find(job_id)
        first, last = int(cursor or 0), min(self.written(spec), 1000)
        points = [MetricPoint(name="loss", value=1 / step, step=step) for step in range(first + 1, last + 1)]
        return points, str(last)

    async def list_artifacts(self, job_id: str) -> list[ArtifactInfo]:
        _, spec = self.find(job_id)
        size = int(spec["artifact_bytes"])
        told = await asyncio.to_thread(content_digest, size) if spec["digest"] else ""
        return [ArtifactInfo(id="weights", path="weights.bin", size=size, etag="v1", sha256=told)]

    async def open_artifact(self, job_id: str, artifact_id: str, offset: int) -> AsyncIterator[bytes]:
        folder, spec = self.find(job_id)
        if artifact_id != "weights":
            raise NotFoundError(kind="artifact", name=artifact_id)
        self.note(folder, f"artifact opened at {offset}")
        size = spec["artifact_bytes"]
        while offset < size:
            until = min(size, given(folder)) if spec["metered"] else size
            if offset >= until:
                await asyncio.sleep(0.02)
                continue
            start = offset % len(BLOCK)
            data = BLOCK[start : start + until - offset]
            yield data
            offset += len(data)

    async def fetch_artifact(self, job_id: str) -> AsyncIterator[bytes]:
        async for data in self.open_artifact(job_id, "weights", 0):
            yield data

    async def upload_artifact(self, path: str, metadata: dict[str, JsonValue]) -> str:
        return f"lab://{await asyncio.to_thread(digest, Path(path))}"

    async def list_resources(self) -> list[Resource]:
        return [
            Resource(id="small", name="Small", gpu_type="L4", gpu_count=1, vram_gb=24),
            Resource(id="large", name="Large", gpu_type="H100", gpu_count=8, vram_gb=80, available=False),
        ]

    async def get_pricing(self, resource_id: str) -> PricingInfo:
        return PricingInfo(hourly_rate={"small": 0.8, "large": 24.0}[resource_id], resource_id=resource_id)

    async def search_models(self, query: str) -> list[dict[str, object]]:
        return [{"id": f"lab/{query}-{number}", "downloads": number} for number in range(120)]

    def find(self, job_id: str) -> tuple[Path, Spec]:
        folder = self.jobs / job_id
        return folder, json.loads((folder / "spec.json").read_text())

    def written(self, spec: Spec) -> int:
        if not spec["pace"]:
            return spec["lines"]
        return min(spec["lines"], int((time.time() - spec["started_at"]) * spec["pace"]))

    def note(self, folder: Path, text: str) -> None:
        with (folder / "notes").open("a") as file:
            file.write(f"{os.getpid()} {text}\n")


def given(folder: Path) -> int:
    file = folder / "given"
    return int(file.read_text()) if file.exists() else 0


def content_digest(size: int) -> str:
    found = hashlib.sha256()
    for offset in range(0, size, len(BLOCK)):
        found.update(BLOCK[: size - offset])
    return found.hexdigest()


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
