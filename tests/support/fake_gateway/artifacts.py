"""The fake gateway's files."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import google_crc32c
import grpc
from grpc import aio

from peftstudio.gateway.v1 import artifacts_service_pb2 as pb
from peftstudio.gateway.v1.artifacts_service_pb2_grpc import ArtifactsServiceServicer
from peftstudio.job.v1.artifact_pb2 import Chunk
from tests.support.fake_gateway.refusal import not_found, refuse
from tests.support.fake_gateway.state import FakeState, StoredFile, StoredUpload

CHUNK_BYTES = 1024


class FakeArtifacts(ArtifactsServiceServicer):
    """Files in memory."""

    def __init__(self, state: FakeState) -> None:
        self._state = state

    async def ListArtifacts(
        self,
        request: pb.ListArtifactsRequest,
        context: aio.ServicerContext[pb.ListArtifactsRequest, pb.ListArtifactsResponse],
    ) -> pb.ListArtifactsResponse:
        if request.job_id not in self._state.jobs:
            await not_found(context, "job", request.job_id)

        files = self._state.files.get(request.job_id, [])
        return pb.ListArtifactsResponse(artifacts=[file.artifact() for file in files])

    async def FetchArtifact(
        self,
        request: pb.FetchArtifactRequest,
        context: aio.ServicerContext[pb.FetchArtifactRequest, pb.FetchArtifactResponse],
    ) -> AsyncIterator[pb.FetchArtifactResponse]:
        file = await self._file(request, context)
        faults = self._state.faults
        cut = faults.fetch_cuts.pop(0) if faults.fetch_cuts else None
        is_corrupt, faults.corrupt_fetches = faults.corrupt_fetches > 0, max(0, faults.corrupt_fetches - 1)
        for offset in range(request.offset, len(file.data), CHUNK_BYTES):
            if cut is not None and offset - request.offset >= cut:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "cut")

            data = file.data[offset : offset + CHUNK_BYTES]
            self._state.fetched_bytes += len(data)
            yield pb.FetchArtifactResponse(chunk=self._chunk(offset, data, is_corrupt=is_corrupt))
            is_corrupt = False

        yield pb.FetchArtifactResponse(artifact=file.artifact())

    def _chunk(self, offset: int, data: bytes, *, is_corrupt: bool) -> Chunk:
        checksum = google_crc32c.value(data) if self._state.faults.with_crc32c else None
        sent = bytes([data[0] ^ 1]) + data[1:] if is_corrupt else data
        return Chunk(offset=offset, data=sent, crc32c=checksum)

    async def _file(self, request: pb.FetchArtifactRequest, context: object) -> StoredFile:
        files = {file.path: file for file in self._state.files.get(request.job_id, [])}
        if request.artifact_id not in files:
            await not_found(context, "artifact", request.artifact_id)

        file = files[request.artifact_id]
        if request.if_etag not in ("", file.etag):
            await refuse(context, grpc.StatusCode.FAILED_PRECONDITION, "ARTIFACT_CHANGED", "the file changed")

        if request.offset > len(file.data):
            await refuse(context, grpc.StatusCode.OUT_OF_RANGE, "BAD_OFFSET", "the file is shorter than that")

        return file

    async def StartUpload(
        self,
        request: pb.StartUploadRequest,
        context: aio.ServicerContext[pb.StartUploadRequest, pb.StartUploadResponse],
    ) -> pb.StartUploadResponse:
        upload_id = f"{request.purpose}-{request.sha256[:12]}"
        upload = self._state.uploads.setdefault(upload_id, StoredUpload(request))
        return pb.StartUploadResponse(
            upload_id=upload_id,
            committed_offset=len(upload.data),
            already_present=len(upload.data) == request.size,
        )

    async def WriteUpload(
        self,
        request_iterator: AsyncIterator[pb.WriteUploadRequest],
        context: aio.ServicerContext[pb.WriteUploadRequest, pb.WriteUploadResponse],
    ) -> pb.WriteUploadResponse:
        cut = self._state.faults.upload_cuts.pop(0) if self._state.faults.upload_cuts else None
        taken, offset = 0, 0
        async for request in request_iterator:
            upload = self._state.uploads[request.upload_id]
            if request.chunk.offset != len(upload.data):
                await refuse(context, grpc.StatusCode.OUT_OF_RANGE, "BAD_OFFSET", "there is a hole")

            if cut is not None and taken + len(request.chunk.data) > cut:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "cut")

            upload.data += request.chunk.data
            taken += len(request.chunk.data)
            offset = len(upload.data)

        return pb.WriteUploadResponse(committed_offset=offset)

    async def CommitUpload(
        self,
        request: pb.CommitUploadRequest,
        context: aio.ServicerContext[pb.CommitUploadRequest, pb.CommitUploadResponse],
    ) -> pb.CommitUploadResponse:
        upload = self._state.uploads[request.upload_id]
        if hashlib.sha256(upload.data).hexdigest() != upload.request.sha256:
            await refuse(context, grpc.StatusCode.DATA_LOSS, "CHECKSUM_MISMATCH", "the bytes are not the file's")

        if upload.request.purpose == pb.UPLOAD_PURPOSE_ARTIFACT:
            self._state.registry.append(upload.request)
            return pb.CommitUploadResponse(uri=f"registry/{upload.request.name}")

        uri = f"upload://{upload.request.sha256}"
        self._state.datasets[uri] = pb.Dataset(
            uri=uri, name=upload.request.name, size=upload.request.size, sha256=upload.request.sha256
        )
        return pb.CommitUploadResponse(uri=uri)

    async def ListDatasets(
        self,
        request: pb.ListDatasetsRequest,
        context: aio.ServicerContext[pb.ListDatasetsRequest, pb.ListDatasetsResponse],
    ) -> pb.ListDatasetsResponse:
        return pb.ListDatasetsResponse(datasets=self._state.datasets.values())

    async def DeleteDataset(
        self,
        request: pb.DeleteDatasetRequest,
        context: aio.ServicerContext[pb.DeleteDatasetRequest, pb.DeleteDatasetResponse],
    ) -> pb.DeleteDatasetResponse:
        if self._state.datasets.pop(request.uri, None) is None:
            await not_found(context, "dataset", request.uri)

        return pb.DeleteDatasetResponse()
