"""What can be done with files."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct

from gateway.client.download import Download, OnProgress
from gateway.client.pages import PAGE_SIZE, walk
from gateway.client.patience import DEFAULT_GIVE_UP_AFTER, Patience
from gateway.client.rpc import Rpc
from gateway.client.upload import Upload
from peftstudio.gateway.v1 import artifacts_service_pb2 as pb
from peftstudio.job.v1.artifact_pb2 import ARTIFACT_KIND_ADAPTER, Artifact, ArtifactKind


class Artifacts:
    """Files that jobs left, and files for platforms."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    def list(self, job_id: str) -> AsyncGenerator[Artifact, None]:
        """Yield the files of a job, by path."""

        async def page(token: str) -> pb.ListArtifactsResponse:
            request = pb.ListArtifactsRequest(job_id=job_id, page_size=PAGE_SIZE, page_token=token)
            return await self._rpc.unary(self._rpc.stubs.artifacts.ListArtifacts, request)

        return walk(page, lambda answer: answer.artifacts)

    async def download(
        self,
        job_id: str,
        directory: str | Path,
        *,
        kinds: Collection[ArtifactKind.ValueType] = (ARTIFACT_KIND_ADAPTER,),
        on_progress: OnProgress | None = None,
        give_up_after: timedelta = DEFAULT_GIVE_UP_AFTER,
    ) -> Sequence[Path]:
        """Fetch a job's files of some kinds (none = all) and return where they are, in the order of their paths.

        Each is verified, and stands in its place only then. A file that is there and right is not fetched again; one
        that was begun is continued. Memory does not depend on sizes.

        Raises:
            TransferError: A path leads out of the directory, or bytes were wrong twice.
        """
        wanted = [artifact async for artifact in self.list(job_id) if not kinds or artifact.kind in kinds]
        downloads = [Download(self._rpc, job_id, artifact, Path(directory), on_progress) for artifact in wanted]
        return [await download.run(Patience(self._rpc.now, give_up_after=give_up_after)) for download in downloads]

    async def upload(
        self,
        path: str | Path,
        connection: str,
        metadata: Mapping[str, object] | None = None,
        *,
        on_progress: OnProgress | None = None,
        give_up_after: timedelta = DEFAULT_GIVE_UP_AFTER,
    ) -> str:
        """Put a file into a platform's registry and return its id or URL there; continued after a cut."""
        details = ParseDict(dict(metadata or {}), Struct())
        patience = Patience(self._rpc.now, give_up_after=give_up_after)
        upload = Upload(self._rpc, Path(path), patience, on_progress)
        return await upload.run(pb.UPLOAD_PURPOSE_ARTIFACT, connection=connection, metadata=details)

    async def upload_dataset(
        self,
        path: str | Path,
        *,
        on_progress: OnProgress | None = None,
        give_up_after: timedelta = DEFAULT_GIVE_UP_AFTER,
    ) -> str:
        """Upload training data and return its name for `dataset_path`; a file that is there is not sent again."""
        patience = Patience(self._rpc.now, give_up_after=give_up_after)
        return await Upload(self._rpc, Path(path), patience, on_progress).run(pb.UPLOAD_PURPOSE_DATASET)

    def datasets(self) -> AsyncGenerator[pb.Dataset, None]:
        """Yield uploaded datasets, newest first."""

        async def page(token: str) -> pb.ListDatasetsResponse:
            request = pb.ListDatasetsRequest(page_size=PAGE_SIZE, page_token=token)
            return await self._rpc.unary(self._rpc.stubs.artifacts.ListDatasets, request)

        return walk(page, lambda answer: answer.datasets)

    async def delete_dataset(self, uri: str) -> None:
        """Delete a dataset; refused while a job that has not ended uses it."""
        await self._rpc.unary(self._rpc.stubs.artifacts.DeleteDataset, pb.DeleteDatasetRequest(uri=uri))
