"""Moves files between a connector and the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

from gateway.artifacts.model import CHUNK_BYTES, Artifact, Piece, Upload
from gateway.errors import Reason, RemoteError
from gateway.plugins import streams
from gateway.plugins.calls import Caller
from gateway.priority import Priority
from gateway.wire.artifacts import chunk_to_proto
from gateway.wire.chunks import piece_from_wire
from gateway.wire.struct import struct_from_json
from peftstudio.connector.v1 import connector_service_pb2 as pb


async def fetch(caller: Caller, platform_job_id: str, artifact: Artifact, offset: int) -> AsyncGenerator[Piece, None]:
    """Yield a file's bytes from an offset to its end.

    Raises:
        ChecksumMismatch: Bytes were damaged on their way.
        RemoteError: The connector failed, or left a hole (BAD_UPSTREAM).

    """
    client = await caller.client()
    request = pb.FetchArtifactRequest(
        connection_id=caller.connection_id,
        platform_job_id=platform_job_id,
        artifact_id=artifact.id,
        offset=offset,
        if_etag=artifact.etag,
    )
    async with aclosing(
        streams.read(caller, client, lambda _: client.fetch_artifact, request, Priority.READ)
    ) as messages:
        async for message in messages:
            piece = piece_from_wire(message)
            if piece.data and piece.offset != offset:
                wrong = f"bytes of {artifact.path!r} came for offset {piece.offset} and not for {offset}"
                raise RemoteError(wrong, reason=Reason.BAD_UPSTREAM)
            yield replace(piece, offset=offset)
            offset += len(piece.data)


async def upload(caller: Caller, file: Upload, path: Path) -> str:
    """Send a file to the platform's registry and return the registry's id or URL of it."""
    client = await caller.client()
    # A stream that is refused while it still sends ends in an error of grpc.aio's own, not in NOT_CONNECTED: a process
    # in which the connection was never opened is not even tried.
    await caller.open(client, 0)
    await caller.admit_stream(client, Priority.READ)
    return await caller.connected(client, lambda one, _: one.upload(_parts(caller.connection_id, file, path)))


async def _parts(connection_id: str, file: Upload, path: Path) -> AsyncIterator[pb.UploadArtifactRequest]:
    header = pb.UploadHeader(
        connection_id=connection_id,
        name=file.name,
        size=file.size,
        sha256=file.sha256,
        metadata=struct_from_json(file.metadata),
    )
    yield pb.UploadArtifactRequest(header=header)
    offset = 0
    with path.open("rb") as source:
        while data := await asyncio.to_thread(source.read, CHUNK_BYTES):
            yield pb.UploadArtifactRequest(chunk=chunk_to_proto(offset, data))
            offset += len(data)
