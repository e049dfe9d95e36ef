"""Make a data folder of a backup: built beside, verified whole, and put in place by a rename."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import IO

from gateway.backup import manifest
from gateway.data_folder import DataFolder
from gateway.errors import ChecksumMismatch, WrongState

CHUNK_BYTES = 1024 * 1024

_LEFT_BY_STOPPED = frozenset({"gateway.lock"})
"""What a folder may have and still count as empty."""


def restore(source: Path, data_dir: Path, *, replace: bool = False) -> Path | None:
    """Make a data folder of a backup.

    Args:
        source: The backup.
        data_dir: The folder to make.
        replace: Whether a folder that has something in it may be put aside.

    Returns:
        Where the folder that was there has been put; None = there was none.

    Raises:
        WrongState: The folder is not empty, or a gateway runs in it, or a newer gateway made the backup.
        ChecksumMismatch: The backup is damaged or not whole; nothing was changed.
        OSError: Something cannot be read or written; nothing was changed.

    """
    data_dir = data_dir.resolve()
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    with _held(data_dir, replace=replace):
        fresh = Path(mkdtemp(dir=data_dir.parent, prefix=f".{data_dir.name}.restore-"))
        try:
            _unpack(source, fresh)
            # All of it is on the disk before the folder that it replaces is moved.
            os.sync()
            return _put(fresh, data_dir)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise


@contextmanager
def _held(data_dir: Path, *, replace: bool) -> Iterator[None]:
    if not data_dir.exists():
        yield
        return
    if not replace and {path.name for path in data_dir.iterdir()} - _LEFT_BY_STOPPED:
        raise WrongState(f"{data_dir} is not empty; choose another --data-dir, or put it aside with --replace")
    with DataFolder(data_dir):
        yield


def _put(fresh: Path, data_dir: Path) -> Path | None:
    old = None
    if data_dir.exists():
        old = data_dir.with_name(f"{data_dir.name}.before-{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
        data_dir.rename(old)
    fresh.rename(data_dir)
    if old is not None and not {path.name for path in old.iterdir()} - _LEFT_BY_STOPPED:
        shutil.rmtree(old)
        old = None
    return old


def _unpack(source: Path, folder: Path) -> None:
    """Write out all files, and compare them with the manifest, which comes last."""
    is_whole = False
    try:
        with (
            TemporaryDirectory(dir=folder.parent, prefix=".restore-") as work,
            (Path(work) / manifest.NAME).open("w+b") as found,
            tarfile.open(source, "r|") as tar,
        ):
            while (member := tar.next()) is not None:
                # tarfile would remember all members otherwise.
                vars(tar)["members"].clear()
                if is_whole:
                    raise ChecksumMismatch("the backup is damaged: it goes on behind its manifest")
                if member.name == manifest.NAME:
                    found.seek(0)
                    manifest.compare(_opened(tar, member), found)
                    is_whole = True
                else:
                    found.write(_extract(tar, member, folder).line())
    except (tarfile.TarError, EOFError, json.JSONDecodeError, FileExistsError) as error:
        raise ChecksumMismatch(f"{source} is no backup, or is damaged: {error}") from error
    if not is_whole:
        raise ChecksumMismatch(f"{source} is not whole: it ends before its manifest")


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> manifest.Entry:
    # Refuses every name that leads out of the folder.
    safe = tarfile.data_filter(member, str(folder))
    if not safe.isreg():
        raise tarfile.TarError(f"{member.name!r} is no file")
    path = folder / safe.name
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with open(path, "xb", opener=_private) as file:
        source = _opened(tar, member)
        while data := source.read(CHUNK_BYTES):
            digest.update(data)
            file.write(data)
    path.chmod((safe.mode or 0) & 0o700 | 0o600)
    os.utime(path, (member.mtime, member.mtime))
    return manifest.Entry(member.name, member.size, digest.hexdigest())


def _opened(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file = tar.extractfile(member)
    if file is None:
        raise tarfile.TarError(f"{member.name!r} is no file")
    return file


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
