"""Receive a file, check it, and hand it to the author as a path."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from connector_sdk._connections import Connections
from connector_sdk._spool import SPOOL
from connector_sdk._struct import from_struct
from connector_sdk.errors import BadOffsetError, ChecksumMismatchError, ConnectorError, InvalidConfigError
from connector_sdk.models import FieldViolation
from peftstudio.connector.v1 import connector_service_pb2 as pb

DRAIN_SECONDS = 1.0  # for what was on its way when the upload was refused


async def receive_upload(
    parts: AsyncIterator[pb.UploadArtifactRequest], connections: Connections, work_dir: Path
) -> str:
    """Spool the file, verify it, let the connector upload it, and remove it; return its id in the registry."""
    try:
        return await _receive(parts, connections, work_dir)
    except ConnectorError:
        # A client that is still writing when the call ends sees an error of the channel instead of this one.
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                async for _ in parts:
                    pass
        raise


async def _receive(parts: AsyncIterator[pb.UploadArtifactRequest], connections: Connections, work_dir: Path) -> str:
    header = await _header(parts)
    connector = connections.get(header.connection_id).connector
    (work_dir / SPOOL).mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=work_dir / SPOOL))
    try:
        path = folder / Path(header.name).name
        await _spool(parts, header, path)
        return str(await connector.upload_artifact(str(path), from_struct(header.metadata)))
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _header(parts: AsyncIterator[pb.UploadArtifactRequest]) -> pb.UploadHeader:
    async for part in parts:
        if part.WhichOneof("part") == "header":
            return _checked(part.header)
        break
    raise InvalidConfigError("An upload starts with its header.")


def _checked(header: pb.UploadHeader) -> pb.UploadHeader:
    name = header.name
    if not Path(name).name or name != Path(name).name or "\x00" in name or name == "..":
        raise InvalidConfigError(
            [FieldViolation(field="header.name", description="must be a file name without folders")]
        )
    return header


async def _spool(parts: AsyncIterator[pb.UploadArtifactRequest], header: pb.UploadHeader, path: Path) -> None:
    digest, size = hashlib.sha256(), 0
    with path.open("wb") as file:
        async for part in parts:
            if part.chunk.offset != size:
                raise BadOffsetError(f"The chunk at {part.chunk.offset} does not follow byte {size}.")
            size += len(part.chunk.data)
            if size > header.size:
                raise ChecksumMismatchError(f"More bytes came than the announced {header.size}.")
            await asyncio.to_thread(_take, part.chunk.data, file, digest)
    if size != header.size or digest.hexdigest() != header.sha256.lower():
        raise ChecksumMismatchError(f"{size} bytes came, which are not the {header.size} that were announced.")


def _take(data: bytes, file: IO[bytes], digest: hashlib._Hash) -> None:
    file.write(data)
    digest.update(data)
