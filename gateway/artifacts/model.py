"""Files that jobs left, and files on their way to platforms."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

CHUNK_BYTES = 512 * 1024
"""Bytes per message: a larger one costs more memory and no less time; the contract allows 1 MiB."""


class ArtifactKind(StrEnum):
    """What a file is for."""

    UNSPECIFIED = "UNSPECIFIED"
    ADAPTER = "ADAPTER"
    CHECKPOINT = "CHECKPOINT"
    MERGED = "MERGED"
    LOG = "LOG"
    OTHER = "OTHER"


class ArtifactState(StrEnum):
    """Whether a file can be had, and whether it is what it should be."""

    REMOTE = "REMOTE"
    VERIFIED = "VERIFIED"
    MISSING = "MISSING"
    CORRUPT = "CORRUPT"


class UploadPurpose(StrEnum):
    """What an upload is for."""

    DATASET = "DATASET"
    ARTIFACT = "ARTIFACT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One file that a job left."""

    id: str
    path: str
    kind: ArtifactKind = ArtifactKind.OTHER
    size: int | None = None
    sha256: str = ""
    etag: str = ""
    state: ArtifactState = ArtifactState.REMOTE
    unsafe: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a file, with what their sender knew about the whole."""

    offset: int
    data: bytes
    size: int | None = None
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file on its way into the gateway."""

    id: str
    purpose: UploadPurpose
    name: str
    size: int
    sha256: str
    connection_id: str = ""
    metadata: str = "{}"
    uri: str = ""
    """What the platform calls it; empty = it is not there yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """One uploaded dataset."""

    sha256: str
    name: str
    size: int
    created_at: datetime

    @property
    def uri(self) -> str:
        """Its name in a TrainingConfig."""
        return f"upload://{self.sha256}"
