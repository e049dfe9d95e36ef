"""How much of the disk the gateway's copies may take."""

from __future__ import annotations

from gateway.artifacts.blobs import Blobs
from gateway.store.uploads import UploadStore


class Cache:
    """Delete the copies of jobs' files that were not read for the longest time; what clients uploaded stays."""

    def __init__(self, blobs: Blobs, uploads: UploadStore, quota_bytes: int) -> None:
        self._blobs = blobs
        self._uploads = uploads
        self._quota_bytes = quota_bytes

    async def trim(self, newest: str) -> None:
        """Delete until the quota is kept; those who read a file now read on, and the newest file stays in any case."""
        files = await self._blobs.by_age()
        excess = sum(size for _, size in files) - self._quota_bytes
        for sha256, size in files:
            if excess <= 0:
                return
            if sha256 != newest and not await self._uploads.uses(sha256):
                await self._blobs.delete(sha256)
                excess -= size
