"""`ArtifactsService`: files, piece by piece."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import cast

from gateway.api import requests
from gateway.artifacts.datasets import Datasets
from gateway.artifacts.model import Dataset, Piece, UploadPurpose
from gateway.artifacts.service import Artifacts
from gateway.artifacts.upload_checks import UploadOrder
from gateway.artifacts.uploads import Uploads
from gateway.errors import InvalidRequest
from gateway.paging import PageRequest
from gateway.wire.artifacts import artifact_to_proto, data_from_chunk
from gateway.wire.chunks import piece_to_wire
from gateway.wire.struct import json_from_struct
from gateway.wire.time import time_to_proto
from peftstudio.gateway.v1 import artifacts_service_pb2 as pb
from peftstudio.gateway.v1 import artifacts_service_pb2_grpc as pb_grpc

_PURPOSES = {
    pb.UPLOAD_PURPOSE_DATASET: UploadPurpose.DATASET,
    pb.UPLOAD_PURPOSE_ARTIFACT: UploadPurpose.ARTIFACT,
}


class ArtifactsServicer(pb_grpc.ArtifactsServiceServicer):
    """Answer calls about files."""

    def __init__(self, artifacts: Artifacts, uploads: Uploads, datasets: Datasets) -> None:
        self._artifacts = artifacts
        self._uploads = uploads
        self._datasets = datasets

    async def ListArtifacts(self, request: pb.ListArtifactsRequest, context: object) -> pb.ListArtifactsResponse:
        requests.require(job_id=request.job_id)
        page = PageRequest.parse(request.page_size, request.page_token, f"artifacts:{request.job_id}")
        files = sorted(await self._artifacts.list(request.job_id), key=lambda file: file.path)
        found, token = page.cut([(file.path, file) for file in files])
        return pb.ListArtifactsResponse(artifacts=map(artifact_to_proto, found), next_page_token=token)

    async def FetchArtifact(
        self, request: pb.FetchArtifactRequest, context: object
    ) -> AsyncIterator[pb.FetchArtifactResponse]:
        requests.require(job_id=request.job_id, artifact_id=request.artifact_id)
        download = await self._artifacts.fetch(
            request.job_id, request.artifact_id, request.offset, request.length, request.if_etag
        )
        async with aclosing(download.pieces) as pieces:
            async for piece in pieces:
                yield cast("pb.FetchArtifactResponse", piece_to_wire(piece.offset, piece.data))
        yield pb.FetchArtifactResponse(artifact=artifact_to_proto(download.artifact))

    async def StartUpload(self, request: pb.StartUploadRequest, context: object) -> pb.StartUploadResponse:
        started = await self._uploads.start(_order(request))
        return pb.StartUploadResponse(
            upload_id=started.upload_id,
            committed_offset=started.committed_offset,
            already_present=started.already_present,
        )

    async def WriteUpload(
        self, request: AsyncIterator[pb.WriteUploadRequest], context: object
    ) -> pb.WriteUploadResponse:
        first = await anext(request, None)
        if first is None or not first.upload_id:
            raise InvalidRequest.of("upload_id", "is missing; StartUpload gives it")
        committed = await self._uploads.write(first.upload_id, _pieces(first, request))
        return pb.WriteUploadResponse(committed_offset=committed)

    async def CommitUpload(self, request: pb.CommitUploadRequest, context: object) -> pb.CommitUploadResponse:
        requests.require(upload_id=request.upload_id)
        return pb.CommitUploadResponse(uri=await self._uploads.commit(request.upload_id))

    async def ListDatasets(self, request: pb.ListDatasetsRequest, context: object) -> pb.ListDatasetsResponse:
        found, token = await self._datasets.list(PageRequest.parse(request.page_size, request.page_token))
        return pb.ListDatasetsResponse(datasets=map(_dataset_to_proto, found), next_page_token=token)

    async def DeleteDataset(self, request: pb.DeleteDatasetRequest, context: object) -> pb.DeleteDatasetResponse:
        requests.require(uri=request.uri)
        await self._datasets.delete(request.uri)
        return pb.DeleteDatasetResponse()


def _order(request: pb.StartUploadRequest) -> UploadOrder:
    purpose = _PURPOSES.get(request.purpose)
    if purpose is None:
        raise InvalidRequest.of("purpose", "is missing; give UPLOAD_PURPOSE_DATASET or UPLOAD_PURPOSE_ARTIFACT")
    return UploadOrder(
        purpose=purpose,
        name=request.name,
        size=request.size,
        sha256=request.sha256,
        connection_id=request.connection_id,
        metadata=json_from_struct(request.metadata),
    )


async def _pieces(first: pb.WriteUploadRequest, rest: AsyncIterator[pb.WriteUploadRequest]) -> AsyncIterator[Piece]:
    yield Piece(first.chunk.offset, data_from_chunk(first.chunk))
    async for message in rest:
        if message.upload_id != first.upload_id:
            raise InvalidRequest.of("upload_id", "changed within the stream; send each upload in a call of its own")
        yield Piece(message.chunk.offset, data_from_chunk(message.chunk))


def _dataset_to_proto(dataset: Dataset) -> pb.Dataset:
    return pb.Dataset(
        uri=dataset.uri,
        name=dataset.name,
        size=dataset.size,
        sha256=dataset.sha256,
        created_at=time_to_proto(dataset.created_at),
    )
