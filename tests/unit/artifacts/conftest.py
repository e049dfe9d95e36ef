from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.artifacts.blobs import Blobs
from gateway.artifacts.cache import Cache
from gateway.artifacts.datasets import Datasets
from gateway.artifacts.service import Artifacts
from gateway.artifacts.uploads import Uploads
from gateway.connections.model import Connection
from gateway.errors import NotFound
from gateway.jobs.model import Job, JobConfig, JobState
from gateway.store.artifacts import ArtifactStore
from gateway.store.database import Database
from gateway.store.uploads import UploadStore
from tests.support.clocks import FakeClock
from tests.support.fake_platform import FakePlatform, FakePlatforms

_START = datetime(2027, 1, 1, tzinfo=UTC)
JOB = Job(
    id="job-1",
    connection_id="conn-1",
    connector_id="fake",
    config=JobConfig(base_model="m", dataset_uri="d", algorithm="lora", document="{}"),
    submission_token="token-1",
    created_at=_START,
    updated_at=_START,
    state=JobState.SUCCEEDED,
    platform_job_id="remote-1",
)


@dataclass
class Bench:
    """Everything around files, over one fake platform and a real folder."""

    folder: Path
    platform: FakePlatform
    platforms: FakePlatforms
    artifacts: Artifacts
    uploads: Uploads
    datasets: Datasets
    blobs: Blobs
    store: ArtifactStore
    clock: FakeClock
    jobs: dict[str, Job] = field(default_factory=lambda: {JOB.id: JOB})
    used_uris: set[str] = field(default_factory=set)
    pauses: list[float] = field(default_factory=list)
    hold: asyncio.Event | None = None
    """Pauses of downloads last until it is set."""

    def parts(self) -> list[str]:
        return sorted(path.name for path in self.blobs.incoming.iterdir())

    def job_is(self, state: JobState) -> None:
        self.jobs[JOB.id] = replace(JOB, state=state)

    async def get(self, job_id: str) -> Job:
        if job_id not in self.jobs:
            raise NotFound("job", job_id)
        return self.jobs[job_id]

    async def is_in_use(self, uri: str) -> bool:
        return uri in self.used_uris

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if self.hold:
            await self.hold.wait()


class OneConnection:
    """The directory of connections, with one in it."""

    async def get(self, id_or_name: str) -> Connection:
        if id_or_name not in ("conn-1", "mine"):
            raise NotFound("connection", id_or_name)
        return Connection(id="conn-1", connector_id="fake", name="mine", created_at=_START)

    async def all(self) -> list[Connection]:
        return [await self.get("conn-1")]


async def make_bench(folder: Path, database: Database, quota_bytes: int = 1024**3) -> Bench:
    clock = FakeClock()
    platform = FakePlatform()
    platforms = FakePlatforms({"conn-1": platform})
    store, upload_store = ArtifactStore(database), UploadStore(database)
    blobs = await Blobs.open(folder / "blobs")
    bench: Bench

    async def is_in_use(uri: str) -> bool:
        return await bench.is_in_use(uri)

    async def sleep(seconds: float) -> None:
        await bench.sleep(seconds)

    class Jobs:
        async def get(self, job_id: str) -> Job:
            return await bench.get(job_id)

    datasets = Datasets(upload_store, store, blobs, folder / "datasets", is_in_use)
    uploads = Uploads(platforms, OneConnection(), upload_store, blobs, datasets, clock)
    cache = Cache(blobs, upload_store, quota_bytes)
    artifacts = Artifacts(platforms, store, blobs, Jobs(), cache=cache, sleep=sleep)
    bench = Bench(folder, platform, platforms, artifacts, uploads, datasets, blobs, store, clock)
    return bench


@pytest.fixture
async def bench(tmp_path: Path, database: Database) -> AsyncIterator[Bench]:
    made = await make_bench(tmp_path, database)
    yield made
    await made.artifacts.close()
