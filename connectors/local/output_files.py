"""List and read the files that a training left."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from typing import Literal

from pydantic import BaseModel

from connector_sdk.errors import NotFoundError
from connector_sdk.models import ArtifactInfo
from connectors.local.job_folder import JobFolder

MANIFEST = "manifest.json"
READ_BYTES = 256 * 1024


class _File(BaseModel):
    path: str
    size: int
    sha256: str
    kind: Literal["adapter", "checkpoint", "merged", "log", "other"]


class _Manifest(BaseModel):
    files: list[_File]


def list_output(folder: JobFolder) -> list[ArtifactInfo]:
    """List the files by the manifest, and the manifest itself; nothing before the training has succeeded."""
    try:
        content = (folder.output_dir / MANIFEST).read_bytes()
    except FileNotFoundError:
        return []
    files = _Manifest.model_validate_json(content).files
    own = _File(path=MANIFEST, size=len(content), sha256=hashlib.sha256(content).hexdigest(), kind="other")
    return [
        ArtifactInfo(id=file.path, path=file.path, kind=file.kind, size=file.size, sha256=file.sha256, etag=file.sha256)
        for file in [*files, own]
    ]


async def read_output(folder: JobFolder, artifact_id: str, offset: int) -> AsyncIterator[bytes]:
    """Yield a listed file from `offset` on; any other name is not found, whatever the folder has."""
    listed = await asyncio.to_thread(list_output, folder)
    if artifact_id not in {info.id for info in listed}:
        raise NotFoundError(kind="artifact", name=artifact_id)
    with await asyncio.to_thread((folder.output_dir / artifact_id).open, "rb") as file:
        while data := await asyncio.to_thread(os.pread, file.fileno(), READ_BYTES, offset):
            offset += len(data)
            yield data
