"""Whether unpacking an archive would write outside the folder that it is unpacked into, as a hostile one does.

The gateway unpacks nothing; whoever fetched an archive from it will.
"""

from __future__ import annotations

import lzma
import posixpath
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gateway.artifacts.sanity import is_safe_path

MOST_PACKED_BYTES = 4 * 1024**3
"""How far into a packed tar is looked: it must be unpacked for it, which takes about a minute."""

TAR_NAMES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")

_Mode = Literal["r:", "r:gz", "r:bz2", "r:xz"]
_PACKED: Mapping[bytes, _Mode] = {
    b"\x1f\x8b": "r:gz",
    b"BZh": "r:bz2",
    b"\xfd7zXZ": "r:xz",
}
_TAR_MAGIC = slice(257, 262)

MOST_MEMBERS = 100_000
"""More than any checkpoint has."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a look into a file found."""

    fault: str = ""
    """What is wrong with it if it is an archive, or should be one by its name; empty = nothing is."""
    is_unsure: bool = False
    """Whether it is too large to be looked through."""


def look_into(path: Path, name: str) -> Found:
    """Look into a file that may be an archive. Blocks."""
    try:
        if zipfile.is_zipfile(path):
            return _look_into_zip(path)
        if name.endswith(".zip"):
            return Found("it is no whole zip archive")
        return _look_into_tar(path, mode) if (mode := _tar_mode(path, name)) else Found()
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, ValueError, zlib.error, lzma.LZMAError) as error:
        return Found(f"it is no whole archive: {error}")


def _look_into_zip(path: Path) -> Found:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not _stays_inside(member.filename) or stat.S_ISLNK(member.external_attr >> 16):
                return _leaves(member.filename)
    return Found()


def _tar_mode(path: Path, name: str) -> _Mode | None:
    """Say how a file is opened as a tar; None = it is none. To let `tarfile` find out takes minutes of zeros."""
    with path.open("rb") as file:
        head = file.read(_TAR_MAGIC.stop)
    if not name.endswith(TAR_NAMES):
        return "r:" if head[_TAR_MAGIC] == b"ustar" else None
    return next((mode for magic, mode in _PACKED.items() if head.startswith(magic)), "r:")


def _look_into_tar(path: Path, mode: _Mode) -> Found:
    with tarfile.open(path, mode) as archive:
        for number, member in enumerate(archive):
            if member.isdev() or not _stays_inside(member.name) or not _stays_inside(_target(member)):
                return _leaves(member.name)
            is_far = mode != "r:" and member.offset_data + member.size > MOST_PACKED_BYTES
            if is_far or number >= MOST_MEMBERS:
                return Found(is_unsure=True)
    return Found()


def _target(member: tarfile.TarInfo) -> str:
    """Return what a link leads to, seen from the folder; of what is no link, nothing."""
    if not (member.issym() or member.islnk()):
        return ""
    start = posixpath.dirname(member.name) if member.issym() else ""
    return posixpath.normpath(posixpath.join(start, member.linkname))


def _stays_inside(name: str) -> bool:
    trimmed = name.removeprefix("./").rstrip("/")
    return trimmed in ("", ".") or is_safe_path(trimmed)


def _leaves(name: str) -> Found:
    return Found(f"its member {name[:200]!r} would be unpacked outside the folder; do not unpack it")
