"""Sending a file: in chunks, continued at the gateway's offset, committed when the gateway has verified it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from google.protobuf.struct_pb2 import Struct

from gateway.client.checksum import crc32c, hash_file
from gateway.client.download import OnProgress, Progress
from gateway.client.errors import GatewayCallError, TransferError
from gateway.client.patience import Patience
from gateway.client.resume import retrying, wait_out
from gateway.client.rpc import FILE_SECONDS, Result, Rpc
from peftstudio.gateway.v1 import artifacts_service_pb2 as pb
from peftstudio.job.v1.artifact_pb2 import Chunk

CHUNK_BYTES = 256 * 1024
"""Near the top of what one stream carries, with sixteen of them to a message limit."""


class Upload:
    """One file on its way to the gateway."""

    def __init__(self, rpc: Rpc, path: Path, patience: Patience, on_progress: OnProgress | None = None) -> None:
        self._rpc = rpc
        self._path = path
        self._patience = patience
        self._on_progress = on_progress
        self._size = 0

    async def run(
        self, purpose: pb.UploadPurpose.ValueType, *, connection: str = "", metadata: Struct | None = None
    ) -> str:
        """Send the file and return where it is: `upload://<sha256>`, or what the platform's registry calls it."""
        self._size, sha256 = await self._rpc.offload(_measure, self._path)
        request = pb.StartUploadRequest(
            purpose=purpose,
            name=self._path.name,
            size=self._size,
            sha256=sha256,
            connection_id=connection,
            metadata=metadata,
        )
        upload_id = await self._send(request)
        stub = self._rpc.stubs.artifacts
        commit = pb.CommitUploadRequest(upload_id=upload_id)
        return (await self._retry(lambda: self._rpc.unary(stub.CommitUpload, commit, FILE_SECONDS))).uri

    async def _send(self, request: pb.StartUploadRequest) -> str:
        furthest = -1
        while True:
            start = await self._retry(lambda: self._rpc.unary(self._rpc.stubs.artifacts.StartUpload, request))
            self._report(start.committed_offset)
            if start.already_present or start.committed_offset >= self._size:
                return start.upload_id

            if start.committed_offset > furthest:
                furthest = start.committed_offset
                self._patience.succeeded()

            try:
                chunks = self._chunks(start.upload_id, start.committed_offset)
                done = await self._rpc.send(self._rpc.stubs.artifacts.WriteUpload, chunks)
            except GatewayCallError as error:
                await wait_out(self._rpc, self._patience, error)
                continue

            if done.committed_offset >= self._size:
                return start.upload_id

    def _chunks(self, upload_id: str, offset: int) -> Iterator[pb.WriteUploadRequest]:
        with self._path.open("rb") as file:
            file.seek(offset)
            while data := file.read(CHUNK_BYTES):
                chunk = Chunk(offset=offset, data=data, crc32c=crc32c(data))
                yield pb.WriteUploadRequest(upload_id=upload_id, chunk=chunk)
                offset += len(data)
                self._report(offset)

    async def _retry(self, call: Callable[[], Awaitable[Result]]) -> Result:
        return await retrying(self._rpc, self._patience, call)

    def _report(self, done: int) -> None:
        if self._on_progress is not None:
            self._on_progress(Progress(path=self._path.name, done_bytes=done, total_bytes=self._size))


def _measure(path: Path) -> tuple[int, str]:
    try:
        return path.stat().st_size, hash_file(path)
    except OSError as error:
        raise TransferError(f"{path} cannot be read: {error.strerror or error}") from error
