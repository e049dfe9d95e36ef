"""A connector for the fake platform: REST through aiohttp as in the guide, and every optional verb."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import ClassVar, TypedDict

import aiohttp
from pydantic import JsonValue

from connector_sdk import error_for_status, retry_after
from connector_sdk.errors import ArtifactChangedError
from connector_sdk.models import ArtifactInfo, JobObservation, ListedJob, LogRecord, MetricPoint, SubmitRequest
from connectors.base import JobStatus, PlatformConnector, PricingInfo, Resource, TrainingConfig

ANSWER_SECONDS = 2.0
"""How long the platform may be silent; short, so that tests of silence are."""
LOG_SECONDS = 0.05
"""Time between two pages of a log that goes on."""

STATUS = {"running": JobStatus.RUNNING, "exited": JobStatus.COMPLETED, "cancelled": JobStatus.CANCELLED}


class ShownJob(TypedDict):
    """A job as the platform shows it."""

    id: str
    tag: str
    state: str
    exit_code: int | None
    message: str
    machine: str
    price_per_hour: float
    created_at: str
    started_at: str | None
    ended_at: str | None


class Rental(PlatformConnector):
    """What all connectors for the platform have in common; subclasses say how they submit and read logs."""

    version = "1.0.0"
    supports_registry = True
    min_poll_interval_seconds: ClassVar[float | None] = 0.1
    credentials_schema: ClassVar[Mapping[str, JsonValue] | None] = {
        "type": "object",
        "properties": {"base_url": {"type": "string"}, "api_key": {"type": "string", "secret": True}},
        "required": ["base_url", "api_key"],
    }

    async def connect(self, credentials: dict[str, str]) -> bool:
        self.session = aiohttp.ClientSession(
            credentials["base_url"],
            headers={"Authorization": f"Bearer {credentials['api_key']}"},
            timeout=aiohttp.ClientTimeout(sock_read=ANSWER_SECONDS),
            raise_for_status=self.check,
        )
        self.etags: dict[str, str] = {}
        return await self.verify_connection()

    async def check(self, answer: aiohttp.ClientResponse) -> None:
        if answer.status >= 400:
            raise error_for_status(answer.status, await answer.text(), retry_after(answer.headers))

    async def verify_connection(self) -> bool:
        async with self.session.get("/v1/account") as answer:
            self.account = (await answer.json())["account"]
        return True

    async def disconnect(self) -> None:
        if hasattr(self, "session"):
            await self.session.close()

    async def submit_job(self, config: TrainingConfig) -> str:
        raise NotImplementedError

    async def submit(self, request: SubmitRequest) -> str:
        wish = {"tag": request.submission_token, "machine": request.resource_id, "spec": request.config.options}
        async with self.session.post("/v1/jobs", json=wish, headers=self.submit_headers(request)) as answer:
            return str((await answer.json())["id"])

    def submit_headers(self, request: SubmitRequest) -> dict[str, str]:
        return {}

    async def list_jobs(self, cursor: str) -> tuple[list[ListedJob], str]:
        async with self.session.get("/v1/jobs", params={"cursor": cursor}) as answer:
            page = await answer.json()
        return [self.listed(job) for job in page["jobs"]], page["cursor"]

    def listed(self, job: ShownJob) -> ListedJob:
        return ListedJob(
            job_id=job["id"],
            submission_token=job["tag"],
            status=seen(job),
            created_at=datetime.fromisoformat(job["created_at"]),
            resource_id=job["machine"],
            price=PricingInfo(hourly_rate=job["price_per_hour"]),
        )

    async def get_job_status(self, job_id: str) -> JobObservation:
        async with self.session.get(f"/v1/jobs/{job_id}") as answer:
            return seen(await answer.json())

    async def cancel_job(self, job_id: str) -> None:
        async with self.session.post(f"/v1/jobs/{job_id}/cancel"):
            return

    async def stream_logs(self, job_id: str) -> AsyncIterator[str]:
        async for record in self.stream_logs_from(job_id, ""):
            yield record.text

    async def stream_logs_from(self, job_id: str, cursor: str) -> AsyncIterator[LogRecord]:
        raise NotImplementedError
        yield LogRecord(text="")

    async def get_metrics_since(self, job_id: str, cursor: str) -> tuple[list[MetricPoint], str]:
        async with self.session.get(f"/v1/jobs/{job_id}/metrics", params={"after": cursor}) as answer:
            points = [MetricPoint(**point) for point in (await answer.json())["points"]]
        return points, str(points[-1].step) if points else cursor

    async def list_artifacts(self, job_id: str) -> list[ArtifactInfo]:
        async with self.session.get(f"/v1/jobs/{job_id}/files") as answer:
            files = (await answer.json())["files"]
        self.etags.update({f"{job_id}/{file['name']}": file["etag"] for file in files})
        return [
            ArtifactInfo(id=file["name"], path=file["name"], size=file["size"], etag=file["etag"]) for file in files
        ]

    async def open_artifact(self, job_id: str, artifact_id: str, offset: int) -> AsyncIterator[bytes]:
        etag = self.etags.get(f"{job_id}/{artifact_id}")
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        async with self.session.get(f"/v1/jobs/{job_id}/files/{artifact_id}", headers=headers) as answer:
            if etag is not None and answer.headers["ETag"] != f'"{etag}"':
                raise ArtifactChangedError
            async for data in answer.content.iter_chunked(64 * 1024):
                yield data

    async def fetch_artifact(self, job_id: str) -> AsyncIterator[bytes]:
        async for data in self.open_artifact(job_id, "adapter_model.safetensors", 0):
            yield data

    async def upload_artifact(self, path: str, metadata: dict[str, JsonValue]) -> str:
        data = await asyncio.to_thread(Path(path).read_bytes)
        async with self.session.post(f"/v1/models/{Path(path).name}", data=data) as answer:
            return str((await answer.json())["id"])

    async def list_resources(self) -> list[Resource]:
        async with self.session.get("/v1/machines") as answer:
            machines = (await answer.json())["machines"]
        return [
            Resource(
                id=machine["id"],
                name=machine["id"],
                gpu_type=machine["gpu"],
                gpu_count=machine["gpus"],
                vram_gb=machine["vram_gb"],
                available=machine["is_free"],
            )
            for machine in machines
        ]

    async def get_pricing(self, resource_id: str) -> PricingInfo:
        async with self.session.get(f"/v1/machines/{resource_id}/price") as answer:
            price = await answer.json()
        return PricingInfo(hourly_rate=price["price_per_hour"], currency=price["currency"], resource_id=resource_id)

    async def search_models(self, query: str) -> list[dict[str, object]]:
        async with self.session.get("/v1/models", params={"search": query}) as answer:
            return list((await answer.json())["models"])


def seen(job: ShownJob) -> JobObservation:
    """Say of a job what the platform says, word for word."""
    return JobObservation(
        status=STATUS[job["state"].rstrip(".")],
        raw_state=job["state"],
        exit_code=job["exit_code"],
        message=job["message"],
        started_at=_time(job["started_at"]),
        ended_at=_time(job["ended_at"]),
    )


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
