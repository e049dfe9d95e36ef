"""The files that jobs left: listed, fetched once from the platform, and then read from the gateway's own store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

from gateway.artifacts.blobs import Blobs
from gateway.artifacts.cache import Cache
from gateway.artifacts.download import Download
from gateway.artifacts.fill import Fill, Sleep, bad_offset
from gateway.artifacts.fills import FillKey, Fills
from gateway.artifacts.inspection import inspected
from gateway.artifacts.listing import shown
from gateway.artifacts.model import Artifact, ArtifactState, Piece
from gateway.artifacts.records import Jobs, Records
from gateway.artifacts.source import closable
from gateway.errors import ArtifactChanged, GatewayError, InvalidRequest, Violation
from gateway.jobs.model import Job
from gateway.platform import Platforms
from gateway.store.artifacts import ArtifactStore


class Artifacts:
    """All files of all jobs. Close it to end the downloads that are under way.

    Without a cache, what was fetched once is kept for good.
    """

    def __init__(
        self,
        platforms: Platforms,
        store: ArtifactStore,
        blobs: Blobs,
        jobs: Jobs,
        *,
        cache: Cache | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._platforms = platforms
        self._records = Records(platforms, store, blobs)
        self._blobs = blobs
        self._cache = cache
        self._jobs = jobs
        self._sleep = sleep
        self._fills = Fills()

    async def close(self) -> None:
        """End all downloads; their readers are told."""
        await self._fills.close()

    async def list(self, job_id: str) -> list[Artifact]:
        """List the files of a job, by path; what is remembered where the job has ended and its platform is gone."""
        job = await self._jobs.get(job_id)
        try:
            files = (await self._records.refresh(job)).files
        except GatewayError:
            files = await self._records.remembered(job)
            if not files or not job.state.is_terminal:
                raise
        return [shown(artifact) for artifact in files]

    async def fetch(
        self, job_id: str, artifact_id: str, offset: int = 0, length: int = 0, if_etag: str = ""
    ) -> Download:
        """Begin to read a file; iterate over what is returned.

        Args:
            job_id: The job.
            artifact_id: The file.
            offset: First byte that is wanted.
            length: So many bytes; 0 = to the end.
            if_etag: Only if the file's etag is still this; empty = any.

        Raises:
            NotFound: There is no such job or file.
            ArtifactChanged: The etag is another.
            BadOffset: The offset is behind the file's end.
        """
        _check_range(offset, length)
        job = await self._jobs.get(job_id)
        artifact = await self._find(job, artifact_id, if_etag)
        if if_etag not in ("", artifact.sha256, artifact.etag):
            raise ArtifactChanged(
                f"{artifact.path!r} changed since its etag was {if_etag!r}; fetch it from its beginning",
                metadata={"etag": shown(artifact).etag},
            )
        if artifact.size is not None and offset > artifact.size:
            raise bad_offset(offset, artifact.size)
        if await self._is_here(artifact):
            verified = await self._verified(job, artifact)
            end = offset + length if length else None
            return Download(self._blobs.read(verified.sha256, offset, end), lambda: verified)
        fill = self._fills.join(_key(job, artifact), lambda: self._fill(job, artifact))
        is_pinned = offset > 0 or bool(if_etag)
        return Download(fill.pieces(offset, length, is_pinned), lambda: fill.artifact)

    async def _find(self, job: Job, artifact_id: str, if_etag: str) -> Artifact:
        known = await self._records.known(job, artifact_id)
        # The very bytes that are wanted are here: nobody needs to be asked.
        if known and if_etag and if_etag == known.sha256 and await self._is_here(known):
            return known
        return await self._records.find(job, artifact_id)

    async def _is_here(self, artifact: Artifact) -> bool:
        if not artifact.sha256 or artifact.state is ArtifactState.CORRUPT:
            return False
        size = await self._blobs.size(artifact.sha256)
        return size is not None and artifact.size in (None, size)

    async def _verified(self, job: Job, artifact: Artifact) -> Artifact:
        if artifact.state is ArtifactState.VERIFIED:
            return artifact
        path = self._blobs.path(artifact.sha256)
        verified = await asyncio.to_thread(inspected, artifact, path, artifact.sha256)
        await self._records.save(job, verified)
        return verified

    def _fill(self, job: Job, artifact: Artifact) -> Fill:
        async def settle(found: Artifact) -> None:
            await self._records.save(job, found)
            if self._cache:
                await self._cache.trim(found.sha256)

        source = _Remote(self._platforms, self._records, job, artifact.id)
        return Fill(artifact, source, self._blobs, settle, self._sleep, _key(job, artifact).name)


class _Remote:
    """The source of one file: whatever process serves the connection at the time."""

    def __init__(self, platforms: Platforms, records: Records, job: Job, artifact_id: str) -> None:
        self._platforms = platforms
        self._records = records
        self._job = job
        self._artifact_id = artifact_id

    async def refresh(self) -> Artifact:
        await self._records.refresh(self._job)
        return await self._records.find(self._job, self._artifact_id)

    async def read(self, artifact: Artifact, offset: int) -> AsyncIterator[Piece]:
        platform = await self._platforms.platform(self._job.connection_id)
        stream = platform.fetch(self._job.platform_job_id, artifact, offset)
        async with aclosing(closable(stream)) as pieces:
            async for piece in pieces:
                yield piece


def _key(job: Job, artifact: Artifact) -> FillKey:
    return FillKey(job.id, artifact.id, (artifact.size, artifact.sha256, artifact.etag))


def _check_range(offset: int, length: int) -> None:
    numbers = {"offset": offset, "length": length}
    if violations := [Violation(name, f"is {value}; give 0 or more") for name, value in numbers.items() if value < 0]:
        raise InvalidRequest(violations)
