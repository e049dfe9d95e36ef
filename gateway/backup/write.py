"""Back up a data folder, also while its gateway runs: into one tar file that appears when it is whole.

The ledger is copied first, at one moment of its history, and the rest then. What is written meanwhile is newer than
the ledger, as after a crash: a gateway that starts on it asks the platforms for what is missing.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import tarfile
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from gateway.backup import contents, manifest
from gateway.errors import InvalidRequest, NotFound

CHUNK_BYTES = 1024 * 1024

LOCK_SECONDS = 30.0
"""How long the copy waits for the ledger's lock, which a gateway that starts may hold."""


@dataclass(frozen=True, slots=True)
class Made:
    """What came into a backup."""

    files: int
    size: int
    """Bytes."""
    has_ledger: bool
    has_key: bool


def back_up(data_dir: Path, target: Path, *, with_artifacts: bool = False, with_ledger: bool = True) -> Made:
    """Write a backup of a data folder.

    Args:
        data_dir: The data folder.
        target: The file; one that is there is replaced once the new one is whole.
        with_artifacts: Also the copies of jobs' files, which platforms have as well.
        with_ledger: Whether the ledger is in the folder, and not on a server.

    Raises:
        NotFound: There is no ledger in the folder.
        InvalidRequest: The file would be in the folder itself.
        OSError: Something cannot be read or written; nothing is left behind.

    """
    if target.resolve().is_relative_to(data_dir.resolve()):
        raise InvalidRequest.of("file", f"is in the data folder {data_dir} itself; choose a place outside")
    if with_ledger and not (data_dir / contents.LEDGER).exists():
        raise NotFound("ledger", str(data_dir / contents.LEDGER))
    with TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as work:
        draft = Path(work) / "backup"
        with open(draft, "xb", opener=_private) as file:
            made = _fill(file, Path(work), data_dir, with_artifacts=with_artifacts, with_ledger=with_ledger)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    return made


def _fill(file: IO[bytes], work: Path, data_dir: Path, *, with_artifacts: bool, with_ledger: bool) -> Made:
    count = 0
    with (work / manifest.NAME).open("w+b") as told:
        told.write(manifest.header(datetime.now(UTC), has_ledger=with_ledger))
        if with_ledger:
            _copy_ledger(data_dir / contents.LEDGER, work / contents.LEDGER)
            told.write(_add(file, work / contents.LEDGER, contents.LEDGER).line())
            count += 1
        for path in contents.files(data_dir, with_artifacts=with_artifacts):
            # It may have gone since its folder was read.
            with suppress(FileNotFoundError):
                told.write(_add(file, path, str(path.relative_to(data_dir))).line())
                count += 1
        told.flush()
        _add(file, work / manifest.NAME, manifest.NAME)
    file.write(bytes(2 * tarfile.BLOCKSIZE))
    has_key = (data_dir / "key").exists()
    return Made(files=count, size=file.tell(), has_ledger=with_ledger, has_key=has_key)


def _copy_ledger(source: Path, target: Path) -> None:
    """Copy one moment of the ledger; in SQLite's write-ahead mode that keeps nobody from writing."""
    with (
        closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=rw", uri=True, timeout=LOCK_SECONDS)) as ledger,
        closing(sqlite3.connect(target)) as copy,
    ):
        ledger.backup(copy)


def _add(tar: IO[bytes], path: Path, name: str) -> manifest.Entry:
    """Append a file: header, bytes, and zeros up to a whole block. `tarfile` itself would remember every member."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        stat = os.fstat(file.fileno())
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = stat.st_size, stat.st_mode & 0o700, int(stat.st_mtime)
        tar.write(info.tobuf(tarfile.PAX_FORMAT))
        left = info.size
        while left:
            # A log that is cut back meanwhile, behind what its index covers, has fewer bytes than were announced.
            data = file.read(min(left, CHUNK_BYTES)) or bytes(min(left, CHUNK_BYTES))
            digest.update(data)
            tar.write(data)
            left -= len(data)
    tar.write(bytes(-info.size % tarfile.BLOCKSIZE))
    return manifest.Entry(name, info.size, digest.hexdigest())


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
