"""A platform that costs nothing: it takes every job at once, keeps one reference for it, and writes nothing.

What a job does is in its `options`: by itself it runs on, `ends` has it ended at once, and `ends_all` ends all others.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import ClassVar, Literal

from pydantic import JsonValue

from connector_sdk import JobStatus, PlatformConnector, PricingInfo, Resource, SubmitRequest, TrainingConfig
from connector_sdk.models import ArtifactInfo, JobObservation


class Instant(PlatformConnector):
    """Keeps of each job only what tells it that it is over."""

    name = "instant"
    display_name = "Instant"
    description = "A platform that answers at once."
    version = "1.0.0"
    submit_safety: ClassVar[Literal["keyed", "findable", "none"]] = "keyed"

    async def connect(self, credentials: dict[str, str]) -> bool:
        self._over = asyncio.Event()
        self._ended = asyncio.Event()
        self._ended.set()
        self._jobs: dict[str, asyncio.Event] = {}
        return True

    async def disconnect(self) -> None:
        return None

    def get_required_credentials(self) -> list[str]:
        return ["api_key"]

    async def submit_job(self, config: TrainingConfig) -> str:
        raise NotImplementedError

    async def submit(self, request: SubmitRequest) -> str:
        options = request.config.options
        if "ends_all" in options:
            self._over.set()
            self._over = asyncio.Event()
        self._jobs[request.submission_token] = self._ended if options else self._over
        return request.submission_token

    async def get_job_status(self, job_id: str) -> JobObservation:
        return self._seen(job_id)

    async def batch_get_job_status(self, job_ids: list[str]) -> Mapping[str, JobObservation]:
        return {job_id: self._seen(job_id) for job_id in job_ids if job_id in self._jobs}

    async def cancel_job(self, job_id: str) -> None:
        self._jobs[job_id] = self._ended

    async def stream_logs(self, job_id: str) -> AsyncIterator[str]:
        await self._jobs[job_id].wait()
        return
        yield

    async def list_artifacts(self, job_id: str) -> list[ArtifactInfo]:
        return [ArtifactInfo(id="weights", path="weights.bin", size=1000)]

    async def fetch_artifact(self, job_id: str) -> bytes:
        return b""

    async def upload_artifact(self, path: str, metadata: dict[str, JsonValue]) -> str:
        raise NotImplementedError

    async def list_resources(self) -> list[Resource]:
        return []

    async def get_pricing(self, resource_id: str) -> PricingInfo:
        raise NotImplementedError

    def _seen(self, job_id: str) -> JobObservation:
        return _COMPLETED if self._jobs[job_id].is_set() else _RUNNING


_RUNNING = JobObservation(status=JobStatus.RUNNING)
_COMPLETED = JobObservation(status=JobStatus.COMPLETED, exit_code=0)
