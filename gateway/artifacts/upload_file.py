"""The growing file of an upload, which outlives cuts and restarts. All functions block; call them from a thread."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from gateway.artifacts.part import move_durably, storage_error, write_all
from gateway.errors import StorageFull


def committed(path: Path) -> int:
    """Return how many bytes are there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def append(path: Path, data: bytes, offset: int) -> None:
    """Write bytes at the end, or nothing.

    Raises:
        StorageFull: The disk is full or not writable; what was there before is still there.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    except OSError as error:
        raise storage_error(error, path) from error
    try:
        write_all(descriptor, data, offset)
    except OSError as error:
        os.ftruncate(descriptor, offset)
        raise storage_error(error, path) from error
    finally:
        os.close(descriptor)


def sync(path: Path) -> None:
    """Make what is there durable, where something is.

    Raises:
        StorageFull: The disk is not writable.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        return
    except OSError as error:
        raise storage_error(error, path) from error


def sha256_of(path: Path) -> str:
    """Compute a file's checksum."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def keep(path: Path, target: Path) -> None:
    """Move a synced file to its final name.

    Raises:
        StorageFull: The disk is not writable.
    """
    try:
        move_durably(path, target)
    except OSError as error:
        raise storage_error(error, target) from error


def check_space(folder: Path, wanted_bytes: int) -> None:
    """Refuse early what cannot fit.

    Raises:
        StorageFull: The disk has less free space than is wanted.
    """
    free = shutil.disk_usage(folder).free
    if wanted_bytes > free:
        raise StorageFull(f"{wanted_bytes} bytes are to come and the disk of {folder} has {free} left; free some space")


def publish(blob: Path, folder: Path, name: str) -> None:
    """Give a blob one more name, which trainers understand, as they look at the suffix.

    Raises:
        StorageFull: The disk is not writable.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _link(blob, folder / name)
    except OSError as error:
        raise storage_error(error, folder) from error


def unpublish(folder: Path) -> None:
    """Remove all those names."""
    shutil.rmtree(folder, ignore_errors=True)


def _link(blob: Path, target: Path) -> None:
    if target.exists():
        return
    try:
        os.link(blob, target)
    except OSError:
        # Some file systems have no hard links.
        target.symlink_to(blob)
