"""Give the guide's `fetch_artifact` what the contract asks of files: a name, a size, a checksum, and any offset.

The bytes go to disk once, in a task of their own so that a short deadline of one call does not start the download
again with the next, and stay there until they have been read to their end.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

from connector_sdk import _sniff
from connector_sdk._pieces import pieces_of, read_pieces
from connector_sdk.connector import PlatformConnector
from connector_sdk.errors import NotFoundError
from connector_sdk.models import ArtifactInfo

ARTIFACT_ID = "adapter"
Download = asyncio.Task[IO[bytes]]

SPOOL = "spool"
"""The folder within the working folder in which files wait."""


class ArtifactSpool:
    """Hold the adapters of one connection's jobs on disk, while they are wanted."""

    def __init__(self, connector: PlatformConnector, folder: Path) -> None:
        """Fetch with `connector`, and keep the files in `folder`."""
        self._connector = connector
        self._folder = folder
        self._downloads: dict[str, Download] = {}
        self._infos: dict[str, ArtifactInfo] = {}

    async def info(self, job_id: str) -> ArtifactInfo:
        """Describe the adapter of a job; fetches it where that has not been done."""
        if job_id not in self._infos:
            await self._downloaded(job_id)
        return self._infos[job_id]

    async def read(self, job_id: str, offset: int) -> AsyncIterator[bytes]:
        """Yield the adapter from `offset` on; the file is given up once its end has been read."""
        # A descriptor of its own: the file may be given up by another reader meanwhile.
        download = await self._downloaded(job_id)
        descriptor = os.dup(download.result().fileno())
        try:
            async for piece in read_pieces(descriptor, offset):
                yield piece
        finally:
            os.close(descriptor)
        self._drop(job_id, download)

    async def close(self) -> None:
        """Stop what is under way and remove the files."""
        downloads = list(self._downloads.values())
        for job_id, download in list(self._downloads.items()):
            self._drop(job_id, download)
        if downloads:
            await asyncio.wait(downloads)

    async def _downloaded(self, job_id: str) -> Download:
        """Give the download of a job's adapter once it is done."""
        running = self._downloads.get(job_id)
        if running is None:
            running = self._downloads[job_id] = asyncio.create_task(self._download(job_id))
        try:
            await asyncio.shield(running)
        except Exception:
            self._drop(job_id, running)
            raise
        return running

    def _drop(self, job_id: str, download: Download) -> None:
        """Stop a download and forget its file; whoever still reads it keeps it, since it has no name on disk."""
        if self._downloads.get(job_id) is not download:
            # Another reader gave it up, and a newer one is under way for somebody else.
            return
        del self._downloads[job_id]
        if not download.cancel() and not download.cancelled() and download.exception() is None:
            download.result().close()

    async def _download(self, job_id: str) -> IO[bytes]:
        self._folder.mkdir(parents=True, exist_ok=True)
        file: IO[bytes] = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - closed when it is given up
        try:
            await self._fill(file, job_id)
        except BaseException:
            file.close()
            raise
        return file

    async def _fill(self, file: IO[bytes], job_id: str) -> None:
        given = self._connector.fetch_artifact(job_id)
        # None is no bytes, but what authors return for "there is none".
        source: bytes | AsyncIterator[bytes] | None = await given if inspect.isawaitable(given) else given
        if source is None:
            raise NotFoundError(kind="artifact", name=ARTIFACT_ID)
        digest, head, size = hashlib.sha256(), b"", 0
        async for piece in pieces_of(source):
            head = head or piece[: _sniff.ENOUGH_BYTES]
            size += len(piece)
            await asyncio.to_thread(_take, piece, file, digest)
        await asyncio.to_thread(file.flush)
        sha256 = digest.hexdigest()
        self._infos[job_id] = ArtifactInfo(
            id=ARTIFACT_ID, path=_sniff.file_name_of(head), size=size, sha256=sha256, etag=sha256
        )


def _take(piece: bytes, file: IO[bytes], digest: hashlib._Hash) -> None:
    file.write(piece)
    digest.update(piece)
