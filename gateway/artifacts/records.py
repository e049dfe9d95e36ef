"""What is known of jobs' files: asked from their platforms, remembered in the ledger."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from gateway.artifacts.blobs import Blobs
from gateway.artifacts.listing import Listing
from gateway.artifacts.model import Artifact, ArtifactState
from gateway.errors import GatewayError, NotFound
from gateway.jobs.model import Job
from gateway.platform import Platforms
from gateway.store.artifacts import ArtifactStore, in_order
from gateway.together import Together

MOST_MERGES = 64
"""Jobs whose files are stored in one transaction: other writers get their turn between."""

_log = logging.getLogger(__name__)


class Jobs(Protocol):
    """Finds jobs."""

    async def get(self, job_id: str) -> Job:
        """Find a job.

        Raises:
            NotFound: There is no such job.
        """
        ...


class Records:
    """Remember the files of jobs."""

    def __init__(self, platforms: Platforms, store: ArtifactStore, blobs: Blobs) -> None:
        self._platforms = platforms
        self._store = store
        self._blobs = blobs
        # A list that is merged must not overwrite what a download just found out.
        self._lock = asyncio.Lock()
        self._merges = Together(self._merge, MOST_MERGES)

    async def remembered(self, job: Job) -> Sequence[Artifact]:
        """List the files as they were known last."""
        return await self._store.list(job.id)

    async def refresh(self, job: Job) -> Listing:
        """Ask the platform for the files, and return and remember what is known of them now.

        A job that never reached it has none.
        """
        if not job.platform_job_id:
            return Listing([], {})
        platform = await self._platforms.platform(job.connection_id)
        listing = Listing.of(await platform.artifacts(job.platform_job_id))
        for artifact_id, error in listing.refused.items():
            _log.warning("file refused", extra={"job_id": job.id, "artifact_id": artifact_id, "why": error.message})
        return replace(listing, files=await self._merges.do((job, listing)))

    async def find(self, job: Job, artifact_id: str) -> Artifact:
        """Find one file, asking the platform where its word may have changed.

        Raises:
            NotFound: The job has no such file, or no longer has it.
        """
        known = await self._store.get(job.id, artifact_id)
        is_settled = known is not None and job.state.is_terminal and known.state is not ArtifactState.MISSING
        if not is_settled:
            await self._refresh_for(job, artifact_id, known)
            known = await self._store.get(job.id, artifact_id)
        if known is None or known.state is ArtifactState.MISSING:
            raise NotFound("artifact", artifact_id)
        return known

    async def known(self, job: Job, artifact_id: str) -> Artifact | None:
        """Find one file without asking anybody."""
        return await self._store.get(job.id, artifact_id)

    async def save(self, job: Job, artifact: Artifact) -> None:
        """Remember what was found out about a file."""
        async with self._lock:
            await self._store.save(job.id, artifact)

    async def _refresh_for(self, job: Job, artifact_id: str, known: Artifact | None) -> None:
        try:
            listing = await self.refresh(job)
        except GatewayError:
            # What is in the gateway's own store can be had without the platform.
            if known is None or known.state is not ArtifactState.VERIFIED:
                raise
        else:
            if error := listing.refused.get(artifact_id):
                raise error

    async def _merge(self, seen: Sequence[tuple[Job, Listing]]) -> list[Sequence[Artifact]]:
        """Put what is remembered to what was seen, for many jobs in one transaction."""
        async with self._lock:
            stored = await self._store.lists({job.id for job, _ in seen})
            now = dict(stored)
            merged = []
            for job, listing in seen:
                remembered = [await self._checked(artifact) for artifact in now[job.id]]
                now[job.id] = in_order(listing.merged(remembered, is_final=job.state.is_terminal))
                merged.append(now[job.id])
            if changed := {job_id: files for job_id, files in now.items() if files != stored[job_id]}:
                await self._store.replace(changed)
        return merged

    async def _checked(self, artifact: Artifact) -> Artifact:
        if artifact.state is ArtifactState.VERIFIED and not await self._blobs.has(artifact.sha256):
            return replace(artifact, state=ArtifactState.REMOTE)
        return artifact
