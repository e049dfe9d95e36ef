"""Train on this machine."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from pydantic import JsonValue

from connector_sdk.connector import PlatformConnector, SubmitSafety
from connector_sdk.errors import InvalidConfigError, NotConnectedError, NotFoundError
from connector_sdk.models import (
    ALGORITHMS,
    ArtifactInfo,
    FieldViolation,
    JobObservation,
    JobStatus,
    ListedJob,
    LogRecord,
    MetricPoint,
    PricingInfo,
    Resource,
    ResourceType,
    SubmitRequest,
    TrainingConfig,
)
from connectors.local import output_files
from connectors.local.config_check import check_config
from connectors.local.job_folder import JobFolder
from connectors.local.jobs import TRAINER, LocalJobs, UnknownJob
from connectors.local.log_tail import LogTail
from connectors.local.machine import find_resources
from connectors.local.metric_file import read_metrics
from connectors.local.registry import register

logger = logging.getLogger(__name__)

ADAPTER = "adapter_model.safetensors"
ENDED = (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)
FOLLOW_SECONDS = 0.1  # between two looks at a log that is being written
LOOK_EVERY = 5  # looks at the log for each look at the job
LIST_PAGE = 200  # jobs that are looked at for one page: some milliseconds each
TICK_SECONDS = 1.0  # how long a free slot may stay free when nobody looks at a job


class LocalConnector(PlatformConnector):
    """Run trainings as processes of this machine; they outlive the connector and are found again."""

    name = "local"
    display_name = "This machine"
    description = "Trains LoRA adapters on the machine that the gateway runs on."
    version = "0.1.0"
    supports_registry = True
    algorithms = ALGORITHMS
    submit_safety: ClassVar[SubmitSafety | None] = "keyed"
    min_poll_interval_seconds = 0.5
    trainer: ClassVar[Sequence[str]] = TRAINER
    """The program that trains; the path of the job's spec is appended."""
    credentials_schema: ClassVar[dict[str, JsonValue]] = {"type": "object", "properties": {}}

    def __init__(self) -> None:
        """Know no jobs before the connection is open."""
        super().__init__()
        self._open_jobs: LocalJobs | None = None
        self._ticking: asyncio.Task[None] | None = None

    async def connect(self, credentials: dict[str, str]) -> bool:
        """Find the jobs that are there; no credentials are needed."""
        gpus = [resource for resource in await find_resources() if resource.type is ResourceType.GPU]
        root, gpu_count = self.work_dir.resolve() / "jobs", sum(gpu.gpu_count for gpu in gpus)
        self._open_jobs = await asyncio.to_thread(LocalJobs, root, command=self.trainer, gpu_count=gpu_count)
        self._ticking = asyncio.create_task(self._tick(self._open_jobs))
        return True

    async def disconnect(self) -> None:
        """Look after the jobs no longer; they go on."""
        self._open_jobs = None
        ticking, self._ticking = self._ticking, None
        if ticking:
            ticking.cancel()
            await asyncio.wait([ticking])

    async def verify_connection(self) -> bool:
        """Tell that this machine is there."""
        return self._open_jobs is not None

    async def submit_job(self, config: TrainingConfig) -> str:
        """Start a job under a new token."""
        token = uuid.uuid4().hex
        return await self.submit(SubmitRequest(job_id=token, submission_token=token, config=config))

    async def submit(self, request: SubmitRequest) -> str:
        """Start a job, or give the one that was started under the same token."""
        if await self.find_job(request.submission_token) is None:
            violations = await self.check_config(request.config)
            violations += await self._check_resource(request.resource_id)
            if violations:
                raise InvalidConfigError(violations)
        return await asyncio.to_thread(self._jobs.submit, request)

    async def find_job(self, submission_token: str) -> str | None:
        """Find the job of a token; its id is the token."""
        with suppress(UnknownJob):
            await asyncio.to_thread(self._jobs.folder, submission_token)
            return submission_token
        return None

    async def list_jobs(self, cursor: str) -> tuple[list[ListedJob], str]:
        """List the jobs that have not ended, in the order of their submission; nobody charges for them."""
        first = int(cursor or 0)
        return await asyncio.to_thread(_listed, self._jobs, first)

    async def check_config(self, config: TrainingConfig) -> list[FieldViolation]:
        """Check model, data, algorithm and hardware."""
        return await asyncio.to_thread(check_config, config, self.work_dir)

    async def get_job_status(self, job_id: str) -> JobObservation:
        """Look at the job's files and processes."""
        folder = await self._folder(job_id)
        return await asyncio.to_thread(self._jobs.observe, folder.path.name)

    async def batch_get_job_status(self, job_ids: list[str]) -> dict[str, JobObservation]:
        """Look at many jobs."""
        return await asyncio.to_thread(_observe_known, self._jobs, job_ids)

    async def cancel_job(self, job_id: str) -> None:
        """Stop the job for good."""
        await asyncio.to_thread(self._jobs.cancel, (await self._folder(job_id)).path.name)

    async def pause_job(self, job_id: str) -> None:
        """Let the job write a checkpoint and end its process."""
        await asyncio.to_thread(self._jobs.pause, (await self._folder(job_id)).path.name)

    async def resume_job(self, job_id: str) -> None:
        """Put the job back in line."""
        await asyncio.to_thread(self._jobs.resume, (await self._folder(job_id)).path.name)

    async def stream_logs(self, job_id: str) -> AsyncIterator[str]:
        """Yield the lines from the first one on."""
        async for record in self.stream_logs_from(job_id, ""):
            yield record.text

    async def stream_logs_from(self, job_id: str, cursor: str) -> AsyncIterator[LogRecord]:
        """Yield the lines behind the cursor until the job has ended and all is read."""
        tail = LogTail(await self._folder(job_id), cursor)
        looks, has_ended = 0, False
        while True:
            if looks % LOOK_EVERY == 0 and not has_ended:
                has_ended = (await self.get_job_status(job_id)).status in ENDED
            # In this order: what was written before the end is read after it was seen.
            records = await asyncio.to_thread(tail.read, has_ended)
            for record in records:
                yield record
            if not records and has_ended:
                return
            if not records:
                looks += 1
                await asyncio.sleep(FOLLOW_SECONDS)

    async def get_metrics_since(self, job_id: str, cursor: str) -> tuple[list[MetricPoint], str]:
        """Give the points behind the cursor."""
        folder = await self._folder(job_id)
        return await asyncio.to_thread(read_metrics, folder.records_path, cursor)

    async def list_artifacts(self, job_id: str) -> list[ArtifactInfo]:
        """List what the training left."""
        return await asyncio.to_thread(output_files.list_output, await self._folder(job_id))

    async def open_artifact(self, job_id: str, artifact_id: str, offset: int) -> AsyncIterator[bytes]:
        """Yield one file."""
        async for data in output_files.read_output(await self._folder(job_id), artifact_id, offset):
            yield data

    async def fetch_artifact(self, job_id: str) -> AsyncIterator[bytes]:
        """Yield the weights of the adapter."""
        async for data in self.open_artifact(job_id, ADAPTER, 0):
            yield data

    async def upload_artifact(self, path: str, metadata: dict[str, JsonValue]) -> str:
        """Copy a file into the registry of this machine."""
        return await asyncio.to_thread(register, self.work_dir / "registry", Path(path), metadata)

    async def list_resources(self) -> list[Resource]:
        """List the processor and the GPUs of this machine."""
        return await find_resources()

    async def get_pricing(self, resource_id: str) -> PricingInfo:
        """Tell that nobody charges for this machine."""
        if await self._check_resource(resource_id):
            raise NotFoundError(kind="resource", name=resource_id)
        return PricingInfo(resource_id=resource_id)

    @property
    def _jobs(self) -> LocalJobs:
        if self._open_jobs is None:
            raise NotConnectedError
        return self._open_jobs

    async def _folder(self, job_id: str) -> JobFolder:
        try:
            return await asyncio.to_thread(self._jobs.folder, job_id)
        except UnknownJob:
            raise NotFoundError(kind="job", name=job_id) from None

    async def _check_resource(self, resource_id: str) -> list[FieldViolation]:
        known = [resource.id for resource in await find_resources()]
        if not resource_id or resource_id in known:
            return []
        words = f"{resource_id} is not one of {', '.join(known)}"
        return [FieldViolation(field="resource_id", description=words)]

    async def _tick(self, jobs: LocalJobs) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                await asyncio.to_thread(jobs.tick)
            except OSError:
                logger.exception("jobs cannot be looked after")


def _listed(jobs: LocalJobs, first: int) -> tuple[list[ListedJob], str]:
    # A job keeps its place in this list for ever: new ones come behind it, and none is deleted.
    ids = jobs.job_ids()
    page = ids[first : first + LIST_PAGE]
    found = [(job_id, jobs.observe(job_id)) for job_id in page]
    listed = [
        ListedJob(
            job_id=job_id,
            submission_token=job_id,
            status=seen,
            created_at=datetime.fromtimestamp(jobs.folder(job_id).state().submitted_at, UTC),
        )
        for job_id, seen in found
        if seen.status not in ENDED
    ]
    return listed, str(first + LIST_PAGE) if first + LIST_PAGE < len(ids) else ""


def _observe_known(jobs: LocalJobs, job_ids: list[str]) -> dict[str, JobObservation]:
    found: dict[str, JobObservation] = {}
    for job_id in job_ids:
        with suppress(UnknownJob):
            found[job_id] = jobs.observe(job_id)
    return found
