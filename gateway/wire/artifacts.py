"""Files and their pieces."""

from __future__ import annotations

import google_crc32c

from gateway.artifacts.model import Artifact, ArtifactKind, ArtifactState
from gateway.errors import ChecksumMismatch
from gateway.wire.enums import EnumPair
from peftstudio.job.v1 import artifact_pb2

_KINDS = EnumPair(ArtifactKind, artifact_pb2.ArtifactKind, "ARTIFACT_KIND_")
_STATES = EnumPair(ArtifactState, artifact_pb2.ArtifactState, "ARTIFACT_STATE_")


def kind_to_proto(kind: ArtifactKind) -> artifact_pb2.ArtifactKind.ValueType:
    """Convert what a file is for."""
    return _KINDS.to_proto(kind)


def kind_from_proto(number: int) -> ArtifactKind:
    """Convert what a file is for; UNSPECIFIED where it is not known here."""
    return _KINDS.from_proto(number) or ArtifactKind.UNSPECIFIED


def artifact_state_to_proto(state: ArtifactState) -> artifact_pb2.ArtifactState.ValueType:
    """Convert whether a file can be had."""
    return _STATES.to_proto(state)


def artifact_to_proto(artifact: Artifact) -> artifact_pb2.Artifact:
    """Convert a file's description."""
    return artifact_pb2.Artifact(
        id=artifact.id,
        kind=kind_to_proto(artifact.kind),
        path=artifact.path,
        size=artifact.size,
        sha256=artifact.sha256,
        etag=artifact.etag,
        state=artifact_state_to_proto(artifact.state),
        unsafe=artifact.unsafe,
    )


def artifact_from_proto(message: artifact_pb2.Artifact) -> Artifact:
    """Convert a file's description from a connector; what only the gateway may say of a file is left at its default."""
    return Artifact(
        id=message.id,
        path=message.path,
        kind=kind_from_proto(message.kind),
        size=message.size if message.HasField("size") else None,
        sha256=message.sha256.lower(),
        etag=message.etag,
    )


def chunk_to_proto(offset: int, data: bytes) -> artifact_pb2.Chunk:
    """Pack bytes with their checksum."""
    return artifact_pb2.Chunk(offset=offset, data=data, crc32c=google_crc32c.value(data))


def data_from_chunk(chunk: artifact_pb2.Chunk) -> bytes:
    """Return the bytes of a chunk.

    Raises:
        ChecksumMismatch: The checksum that came along is that of other bytes.

    """
    # Each look at the field is a copy of it.
    data = chunk.data
    if chunk.HasField("crc32c") and google_crc32c.value(data) != chunk.crc32c:
        raise damaged(chunk.offset)
    return data


def damaged(offset: int) -> ChecksumMismatch:
    """Make the error for bytes that are not those of their checksum."""
    return ChecksumMismatch(f"the bytes at offset {offset} were damaged on their way; try again")
