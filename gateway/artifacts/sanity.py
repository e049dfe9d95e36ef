"""What is believed of a file that a platform names: its path, its numbers, and whether loading it can run code."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import PurePosixPath

from gateway.artifacts.blobs import is_sha256
from gateway.artifacts.model import Artifact
from gateway.errors import GatewayError, Reason

HEAD_BYTES = 4096
"""So much of a file tells what it is."""

_MAX_ID_CHARACTERS = 512
_PICKLE_SUFFIXES = frozenset({".bin", ".pt", ".pth", ".pkl", ".ckpt"})
_PICKLE_PROTOCOLS = range(2, 6)


def sane(artifact: Artifact, taken_paths: AbstractSet[str] = frozenset()) -> Artifact:
    """Return what can be believed of a file as a platform named it.

    Raises:
        GatewayError: Its path would leave the folder that it is saved into, or is that of another file, or it has no
            usable id (BAD_UPSTREAM).
    """
    has_id = 0 < len(artifact.id) <= _MAX_ID_CHARACTERS
    if not has_id or not is_safe_path(artifact.path) or artifact.path in taken_paths:
        raise GatewayError(
            f"the platform names a file {artifact.path[:200]!r} that is not safe to save; it is not offered here",
            reason=Reason.BAD_UPSTREAM,
        )
    digest = artifact.sha256.lower()
    return replace(
        artifact,
        size=artifact.size if artifact.size is not None and artifact.size >= 0 else None,
        sha256=digest if is_sha256(digest) else "",
        unsafe=artifact.unsafe or has_pickle_suffix(artifact.path),
    )


def is_safe_path(path: str) -> bool:
    """Whether a path stays inside the folder that it is put into, on every system."""
    parts = path.split("/")
    return (
        not any(part in ("", ".", "..") for part in parts)
        and "\\" not in path
        and ":" not in parts[0]
        and path.isprintable()
    )


def has_pickle_suffix(path: str) -> bool:
    """Whether files of this name usually have a pickle inside."""
    return PurePosixPath(path).suffix.lower() in _PICKLE_SUFFIXES


def looks_like_pickle(head: bytes) -> bool:
    """Whether a file that begins so is a pickle, or a zip archive with one as torch writes it."""
    is_pickle = len(head) > 1 and head[0] == 0x80 and head[1] in _PICKLE_PROTOCOLS
    return is_pickle or (head.startswith(b"PK\x03\x04") and b"data.pkl" in head)
