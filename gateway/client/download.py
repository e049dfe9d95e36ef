"""Fetching a job's files: verified, and continued where an earlier try ended."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from gateway.client.checksum import hash_file
from gateway.client.errors import GatewayCallError, TransferError
from gateway.client.part_file import PartFile, WrongBytesError, target_path
from gateway.client.patience import Patience
from gateway.client.resume import resuming
from gateway.client.rpc import Rpc
from peftstudio.gateway.v1 import artifacts_service_pb2 as pb
from peftstudio.job.v1.artifact_pb2 import Artifact

_START_AGAIN = frozenset({"ARTIFACT_CHANGED", "BAD_OFFSET", "CHECKSUM_MISMATCH"})
"""Answers that say: what is here already is not the beginning of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a file is."""

    path: str
    """Path of the file within its job."""
    done_bytes: int
    total_bytes: int | None
    """None = not known before the end."""


OnProgress = Callable[[Progress], None]


def _ignore(_: Progress) -> None:
    pass


class Download:
    """One file of a job on its way into a directory."""

    def __init__(
        self, rpc: Rpc, job_id: str, artifact: Artifact, directory: Path, on_progress: OnProgress | None = None
    ) -> None:
        self._rpc = rpc
        self._job_id = job_id
        self._artifact = artifact
        self._etag = artifact.etag
        self._part = PartFile(target_path(directory, artifact.path))
        self._on_progress = on_progress or _ignore

    async def run(self, patience: Patience) -> Path:
        """Fetch the file and return where it is.

        Raises:
            TransferError: The bytes were wrong, and wrong again after a fresh start.
            GatewayCallError: The gateway refused, or was away for too long.
        """
        if await self._rpc.offload(self._is_there):
            self._report(self._artifact.size)
            return self._part.target

        await self._rpc.offload(self._part.open)
        try:
            await self._fetch(patience)
        except (WrongBytesError, GatewayCallError) as error:
            if isinstance(error, GatewayCallError) and error.reason not in _START_AGAIN:
                raise

            await self._start_again(patience)

        return self._part.target

    def _is_there(self) -> bool:
        artifact, target = self._artifact, self._part.target
        is_known = bool(artifact.sha256) and artifact.HasField("size")
        return (
            is_known
            and target.is_file()
            and target.stat().st_size == artifact.size
            and hash_file(target) == artifact.sha256
        )

    async def _start_again(self, patience: Patience) -> None:
        # Whatever the file is now is what is wanted; its last message proves that it came from one version.
        self._etag = ""
        await self._rpc.offload(self._part.discard)
        try:
            await self._fetch(patience)
        except WrongBytesError as error:
            await self._rpc.offload(self._part.discard)
            raise TransferError(f"{self._artifact.path}: {error}, twice; nothing was kept") from error

    async def _fetch(self, patience: Patience) -> None:
        artifact = self._artifact
        if artifact.HasField("size") and artifact.sha256 and self._part.size >= artifact.size > 0:
            await self._rpc.offload(self._part.commit, artifact.size, artifact.sha256)
            return

        stream = resuming(
            self._rpc,
            patience,
            lambda: self._rpc.stream(self._rpc.stubs.artifacts.FetchArtifact, self._request()),
            lambda response: response.HasField("artifact"),
        )
        async with aclosing(stream) as responses:
            async for response in responses:
                if response.HasField("chunk"):
                    await self._rpc.offload(self._part.write, response.chunk)
                    self._report(artifact.size if artifact.HasField("size") else None)

                if response.HasField("artifact"):
                    await self._commit(response.artifact)

    async def _commit(self, whole: Artifact) -> None:
        if not whole.sha256:
            raise TransferError(f"{whole.path}: the gateway gave no checksum, so the file cannot be verified")

        await self._rpc.offload(self._part.commit, whole.size, whole.sha256)
        self._report(whole.size)

    def _request(self) -> pb.FetchArtifactRequest:
        return pb.FetchArtifactRequest(
            job_id=self._job_id, artifact_id=self._artifact.id, offset=self._part.size, if_etag=self._etag
        )

    def _report(self, total: int | None) -> None:
        done = self._part.size or (total or 0)
        self._on_progress(Progress(path=self._artifact.path, done_bytes=done, total_bytes=total))
