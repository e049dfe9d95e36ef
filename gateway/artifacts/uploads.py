"""Files on their way into the gateway: resumable, verified as a whole, handed to where they belong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

from gateway.artifacts.blobs import ABANDONED_AFTER, Blobs
from gateway.artifacts.datasets import Datasets
from gateway.artifacts.model import Dataset, Piece, Upload, UploadPurpose
from gateway.artifacts.upload_checks import UploadOrder
from gateway.artifacts.upload_file import append, check_space, committed, keep, sha256_of, sync
from gateway.clock import Clock
from gateway.connections.access import Directory
from gateway.errors import BadOffset, ChecksumMismatch, InvalidRequest, NotFound, WrongState
from gateway.platform import Platforms
from gateway.single_flight import SingleFlight
from gateway.store.uploads import UploadStore


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadStatus:
    """How far an upload is."""

    upload_id: str
    committed_offset: int
    """Bytes that are there; send from here on."""
    already_present: bool
    """Whether all of them are; only the commit is missing."""


class Uploads:
    """All uploads. Bytes of one upload are written by one call at a time; others are told the offset."""

    def __init__(
        self,
        platforms: Platforms,
        connections: Directory,
        store: UploadStore,
        blobs: Blobs,
        datasets: Datasets,
        clock: Clock,
    ) -> None:
        self._platforms = platforms
        self._connections = connections
        self._store = store
        self._blobs = blobs
        self._datasets = datasets
        self._clock = clock
        self._commits: SingleFlight[str, str] = SingleFlight()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def close(self) -> None:
        """End what is being sent to platforms; the next commit sends it again."""
        await self._commits.close()

    async def start(self, order: UploadOrder) -> UploadStatus:
        """Begin an upload, or find out how far an earlier one of the same file came.

        Raises:
            InvalidRequest: With all fields that cannot be used.
            NotFound: There is no such connection.
            StorageFull: The disk has less space than the file needs.
        """
        order.check()
        connection_id = (await self._connections.get(order.connection_id)).id if order.connection_id else ""
        upload = Upload(
            id=order.upload_id(connection_id),
            purpose=order.purpose,
            name=order.name,
            size=order.size,
            sha256=order.sha256,
            connection_id=connection_id,
            metadata=order.metadata,
        )
        there = await self._committed(upload)
        await asyncio.to_thread(check_space, self._blobs.incoming, upload.size - there)
        await self._store.save(upload, self._clock.now())
        return UploadStatus(upload_id=upload.id, committed_offset=there, already_present=there == upload.size)

    async def write(self, upload_id: str, pieces: AsyncIterator[Piece]) -> int:
        """Write pieces from the committed offset on; return the offset that is durable then.

        Raises:
            NotFound: There is no such upload.
            BadOffset: A piece is not the next one; its metadata has the `committed_offset` to send from.
            InvalidRequest: There are more bytes than were announced.
            StorageFull: The disk is full; what was written before stays.
        """
        upload = await self._get(upload_id)
        try:
            async for piece in pieces:
                async with self._lock(upload_id):
                    await self._append(upload, piece)
        finally:
            # Also where the client was cut: what arrived need not be sent again.
            await asyncio.to_thread(sync, self._path(upload_id))
        return await self._committed(upload)

    async def commit(self, upload_id: str) -> str:
        """Verify an upload and hand it to where it belongs; return the URI, or the registry's id or URL.

        It is done once: whoever asks meanwhile or later gets the same answer.

        Raises:
            NotFound: There is no such upload.
            WrongState: Bytes are missing.
            ChecksumMismatch: They are not the bytes that were announced; they are deleted.
        """
        return await self._commits.do(upload_id, lambda: self._commit(upload_id))

    async def _commit(self, upload_id: str) -> str:
        upload = await self._get(upload_id)
        if upload.uri:
            return upload.uri
        async with self._lock(upload_id):
            if not await self._blobs.has(upload.sha256):
                await self._verify(upload)
        if upload.purpose is UploadPurpose.ARTIFACT:
            return await self._send(upload)
        dataset = Dataset(sha256=upload.sha256, name=upload.name, size=upload.size, created_at=self._clock.now())
        return await self._datasets.add(dataset)

    async def drop_abandoned(self) -> None:
        """Delete the uploads that nobody went on with for `ABANDONED_AFTER`; datasets stay."""
        for upload in await self._store.started_before(self._clock.now() - ABANDONED_AFTER):
            async with self._lock(upload.id):
                await asyncio.to_thread(self._path(upload.id).unlink, missing_ok=True)
                await self._store.remove(upload.id)
            await self._datasets.drop_unused(upload.sha256)

    async def _append(self, upload: Upload, piece: Piece) -> None:
        there = await self._committed(upload)
        if piece.offset != there:
            raise BadOffset(
                f"the piece begins at {piece.offset} and {there} bytes are there; send from {there} on",
                metadata={"committed_offset": str(there)},
            )
        if there + len(piece.data) > upload.size:
            raise InvalidRequest.of("chunk.data", f"goes beyond the {upload.size} bytes that were announced")
        await asyncio.to_thread(append, self._path(upload.id), piece.data, there)

    async def _verify(self, upload: Upload) -> None:
        path = self._path(upload.id)
        there = await asyncio.to_thread(committed, path)
        if there != upload.size:
            raise WrongState(
                f"{there} of {upload.size} bytes are there; send the rest first",
                metadata={"committed_offset": str(there)},
            )
        found = await asyncio.to_thread(sha256_of, path)
        if found != upload.sha256:
            path.unlink()
            raise ChecksumMismatch(f"the bytes have SHA-256 {found} and {upload.sha256} was announced; send them again")
        await asyncio.to_thread(sync, path)
        await asyncio.to_thread(keep, path, self._blobs.path(upload.sha256))

    async def _send(self, upload: Upload) -> str:
        platform = await self._platforms.platform(upload.connection_id)
        uri = await platform.upload(upload, self._blobs.path(upload.sha256))
        await self._store.note_sent(upload.id, uri)
        await self._datasets.drop_unused(upload.sha256)
        return uri

    async def _get(self, upload_id: str) -> Upload:
        upload = await self._store.get(upload_id)
        if upload is None:
            raise NotFound("upload", upload_id)
        return upload

    async def _committed(self, upload: Upload) -> int:
        if await self._blobs.has(upload.sha256):
            return upload.size
        return await asyncio.to_thread(committed, self._path(upload.id))

    def _path(self, upload_id: str) -> Path:
        return self._blobs.incoming / f"{upload_id}.part"

    def _lock(self, upload_id: str) -> asyncio.Lock:
        return self._locks.setdefault(upload_id, asyncio.Lock())
