"""List and send the files that a job left."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from connector_sdk._chunk import fetched
from connector_sdk._connections import Connection
from connector_sdk._observation import to_observation
from connector_sdk._pieces import parts_of
from connector_sdk._spool import ARTIFACT_ID
from connector_sdk._text import clean
from connector_sdk.connector import overrides
from connector_sdk.errors import ArtifactChangedError, BadOffsetError, NotFoundError
from connector_sdk.models import ArtifactInfo, JobStatus
from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.job.v1 import artifact_pb2


async def list_artifacts(connection: Connection, job_id: str) -> list[artifact_pb2.Artifact]:
    """List the files; a connector that says nothing about files has one, the adapter, once a job has completed."""
    connector = connection.connector
    if overrides(connector, "list_artifacts"):
        return [_to_artifact(info) for info in await connector.list_artifacts(job_id)]
    if to_observation(await connector.get_job_status(job_id)).state != to_observation(JobStatus.COMPLETED).state:
        return []
    return [_to_artifact(await connection.spool.info(job_id))]


async def send_artifact(
    connection: Connection, request: pb.FetchArtifactRequest
) -> AsyncGenerator[pb.FetchArtifactResponse | bytes, None]:
    """Yield the file from the offset on, its bytes in wire format already.

    Its checksum comes first where it is known, and last where it is counted.
    """
    if request.offset < 0:
        raise BadOffsetError(f"The offset {request.offset} is negative.")
    known = await _known(connection, request)
    if known and known.size is not None and request.offset > known.size:
        raise BadOffsetError(f"The offset {request.offset} lies behind the end of the file, {known.size}.")
    if known:
        yield pb.FetchArtifactResponse(size=known.size, sha256=known.sha256)
    digest, position = hashlib.sha256(), request.offset
    is_counted = request.offset == 0 and not (known and known.sha256)
    async with aclosing(parts_of(_open(connection, request))) as pieces:
        async for parts in pieces:
            if is_counted:
                for part in parts:
                    digest.update(part)
            size = sum(map(len, parts))
            yield fetched(position, parts, size)
            position += size
    if position == request.offset > 0 and not (known and known.size is not None):
        await _check_reaches(connection, request)
    if is_counted:
        yield pb.FetchArtifactResponse(size=position, sha256=digest.hexdigest())


async def _known(connection: Connection, request: pb.FetchArtifactRequest) -> ArtifactInfo | None:
    """Give what is known of the file beforehand; asks the platform only where the caller wants it compared."""
    connector, wanted = connection.connector, request.artifact_id
    if not overrides(connector, "open_artifact"):
        if wanted != ARTIFACT_ID:
            raise NotFoundError(kind="artifact", name=wanted)
        info = await connection.spool.info(request.platform_job_id)
    elif request.if_etag and overrides(connector, "list_artifacts"):
        listed = await connector.list_artifacts(request.platform_job_id)
        found = next((info for info in listed if info.id == wanted), None)
        if found is None:
            raise NotFoundError(kind="artifact", name=wanted)
        info = found
    else:
        return None
    if request.if_etag and info.etag and request.if_etag != info.etag:
        raise ArtifactChangedError
    return info


async def _check_reaches(connection: Connection, request: pb.FetchArtifactRequest) -> None:
    """Refuse an offset from which on nothing came, unless the byte before it is the file's last."""
    before = pb.FetchArtifactRequest()
    before.CopyFrom(request)
    before.offset -= 1
    async with aclosing(parts_of(_open(connection, before))) as pieces:
        async for _ in pieces:
            return
    raise BadOffsetError(f"The offset {request.offset} lies behind the end of the file.")


def _open(connection: Connection, request: pb.FetchArtifactRequest) -> AsyncIterator[bytes]:
    if overrides(connection.connector, "open_artifact"):
        return connection.connector.open_artifact(request.platform_job_id, request.artifact_id, request.offset)
    return connection.spool.read(request.platform_job_id, request.offset)


def _to_artifact(info: ArtifactInfo) -> artifact_pb2.Artifact:
    return artifact_pb2.Artifact(
        id=clean(info.id),
        kind=artifact_pb2.ArtifactKind.Value(f"ARTIFACT_KIND_{info.kind.upper()}"),
        path=clean(info.path),
        size=info.size,
        sha256=info.sha256,
        etag=info.etag,
    )
