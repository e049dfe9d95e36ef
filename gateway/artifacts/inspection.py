"""A look at a whole file: whether it is what its name says, and whether loading it can run code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gateway.artifacts.archive_check import look_into
from gateway.artifacts.model import Artifact, ArtifactState
from gateway.artifacts.safetensors_check import safetensors_fault
from gateway.artifacts.sanity import HEAD_BYTES, looks_like_pickle
from gateway.errors import ChecksumMismatch


def inspected(artifact: Artifact, path: Path, sha256: str) -> Artifact:
    """Return what is known of a file now that all its bytes are here. Blocks.

    Raises:
        ChecksumMismatch: They are not the bytes that they should be, or nobody should unpack them.
    """
    if artifact.sha256 not in ("", sha256):
        raise ChecksumMismatch(
            f"the bytes of {artifact.path!r} have SHA-256 {sha256}, and the platform says {artifact.sha256}"
        )
    fault = safetensors_fault(path) if artifact.path.endswith(".safetensors") else ""
    if fault:
        raise ChecksumMismatch(f"{artifact.path!r} is not whole: {fault}")
    archive = look_into(path, artifact.path)
    if archive.fault:
        raise ChecksumMismatch(f"{artifact.path!r} is not safe to use: {archive.fault}")
    with path.open("rb") as file:
        unsafe = artifact.unsafe or archive.is_unsure or looks_like_pickle(file.read(HEAD_BYTES))
    size = path.stat().st_size
    return replace(artifact, size=size, sha256=sha256, state=ArtifactState.VERIFIED, unsafe=unsafe)
