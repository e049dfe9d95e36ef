"""A platform on disk that notes all that is done to it, and takes its time between making a machine and saying so.

A machine is a folder that appears at once with all that it has; every folder is one machine that somebody pays for.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, TypedDict

from pydantic import JsonValue

from connector_sdk.models import ArtifactInfo, JobObservation, ListedJob, LogRecord, SubmitRequest
from connectors.base import JobStatus, PlatformConnector, PricingInfo, Resource, TrainingConfig

PAUSE_SECONDS = 0.15
"""Longest pause before and behind the making of a machine: moments to be killed in."""


class Spec(TypedDict):
    """What a machine does."""

    token: str
    started_at: float
    lines: float
    pace: float


class DiskPlatform(PlatformConnector):
    """What all kinds have in common."""

    version = "1.0.0"
    min_poll_interval_seconds: ClassVar[float | None] = 0.25
    credentials_schema: ClassVar[dict[str, JsonValue]] = {
        "type": "object",
        "properties": {"api_key": {"type": "string", "secret": True}},
        "required": ["api_key"],
    }

    async def connect(self, credentials: dict[str, str]) -> bool:
        self.machines = self.work_dir / "machines"
        self.making = self.work_dir / "making"
        for folder in (self.machines, self.making):
            folder.mkdir(exist_ok=True)
        return bool(credentials["api_key"])

    async def verify_connection(self) -> bool:
        return True

    async def disconnect(self) -> None:
        return None

    def machine_of(self, token: str) -> str:
        """Name the machine of a submission."""
        return f"m-{uuid.uuid4().hex}"

    async def submit_job(self, config: TrainingConfig) -> str:
        raise NotImplementedError

    async def submit(self, request: SubmitRequest) -> str:
        await asyncio.sleep(random.uniform(0, PAUSE_SECONDS))
        machine = self.machines / self.machine_of(request.submission_token)
        if not machine.exists():
            options = {"lines": 10, "pace": 20, **request.config.options}
            spec = {"token": request.submission_token, "started_at": time.time(), **options}
            draft = self.making / uuid.uuid4().hex
            draft.mkdir()
            (draft / "spec.json").write_text(json.dumps(spec))
            os.replace(draft, machine)
        await asyncio.sleep(random.uniform(0, PAUSE_SECONDS))
        return machine.name

    async def get_job_status(self, job_id: str) -> JobObservation:
        return self.seen(job_id)

    def seen(self, job_id: str) -> JobObservation:
        machine = self.machines / job_id
        if (machine / "cancelled").exists():
            return JobObservation(status=JobStatus.CANCELLED)
        spec = self.spec(machine)
        if self.written(spec) < spec["lines"]:
            return JobObservation(status=JobStatus.RUNNING)
        return JobObservation(status=JobStatus.COMPLETED, exit_code=0)

    async def list_jobs(self, cursor: str) -> tuple[list[ListedJob], str]:
        found = sorted(self.machines.iterdir())
        first = int(cursor or 0)
        page = [self.listed(machine) for machine in found[first : first + 100]]
        return page, str(first + 100) if first + 100 < len(found) else ""

    def listed(self, machine: Path) -> ListedJob:
        spec = self.spec(machine)
        status = self.seen(machine.name)
        made = datetime.fromtimestamp(spec["started_at"], UTC)
        return ListedJob(job_id=machine.name, submission_token=spec["token"], status=status, created_at=made)

    async def cancel_job(self, job_id: str) -> None:
        (self.machines / job_id / "cancelled").touch()

    async def stream_logs(self, job_id: str) -> AsyncIterator[str]:
        async for record in self.stream_logs_from(job_id, ""):
            yield record.text

    async def stream_logs_from(self, job_id: str, cursor: str) -> AsyncIterator[LogRecord]:
        machine = self.machines / job_id
        spec = self.spec(machine)
        number = int(cursor or 0)
        while True:
            ended = self.seen(job_id).status is not JobStatus.RUNNING
            while number < self.written(spec):
                number += 1
                yield LogRecord(text=f"line {number} of {spec['lines']}", cursor=str(number))
            if ended:
                return
            await asyncio.sleep(0.1)

    async def list_artifacts(self, job_id: str) -> list[ArtifactInfo]:
        return []

    async def fetch_artifact(self, job_id: str) -> bytes:
        return b""

    async def upload_artifact(self, path: str, metadata: dict[str, JsonValue]) -> str:
        return "storm://nothing"

    async def list_resources(self) -> list[Resource]:
        return [Resource(id="small", name="Small", gpu_type="L4", gpu_count=1, vram_gb=24)]

    async def get_pricing(self, resource_id: str) -> PricingInfo:
        return PricingInfo(hourly_rate=0.8, resource_id=resource_id)

    def spec(self, machine: Path) -> Spec:
        spec: Spec = json.loads((machine / "spec.json").read_text())
        return spec

    def written(self, spec: Spec) -> int:
        return min(int(spec["lines"]), int((time.time() - spec["started_at"]) * spec["pace"]))


class StormPlatform(DiskPlatform):
    """Looks at many machines at once: five hundred of them have to fit into a test."""

    async def batch_get_job_status(self, job_ids: list[str]) -> dict[str, str | JobStatus | JobObservation]:
        return {job_id: self.seen(job_id) for job_id in job_ids}
