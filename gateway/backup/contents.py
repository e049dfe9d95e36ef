"""What of a data folder is in its backup: all that cannot be had again.

Left out are what tells of living processes (it would lead a gateway elsewhere to processes that are not its own), what
can be fetched from platforms again unless it is wanted, and further names of the same files. Symbolic links are left
out too: they may lead anywhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

LEDGER = "ledger.db"

_LIVING = (f"{LEDGER}*", "endpoint.json", "gateway.lock", ".*.new")
_LIVING_INSTANCE = ("process-*.json", "bootstrap.json", "output.log")
_DOWNLOADS = "fill-*"


def files(data_dir: Path, *, with_artifacts: bool) -> Iterator[Path]:
    """Yield the files beside the ledger, each in the order of its name: an index comes before the lines it covers."""
    for entry in _entries(data_dir):
        if entry.name == "blobs":
            yield from _blobs(data_dir, with_artifacts=with_artifacts)
        elif entry.name == "instances":
            yield from _instances(Path(entry))
        elif entry.name != "datasets" and not _is_like(entry.name, _LIVING):
            yield from _walk(entry)


def _blobs(data_dir: Path, *, with_artifacts: bool) -> Iterator[Path]:
    blobs = data_dir / "blobs"
    if with_artifacts:
        for entry in _entries(blobs):
            if entry.name != "incoming":
                yield from _walk(entry)
    else:
        # Datasets are named by their checksums, as the files themselves are.
        for dataset in _entries(data_dir / "datasets"):
            blob = blobs / dataset.name[:2] / dataset.name
            if blob.is_file():
                yield blob
    for entry in _entries(blobs / "incoming"):
        if not fnmatchcase(entry.name, _DOWNLOADS):
            yield from _walk(entry)


def _instances(folder: Path) -> Iterator[Path]:
    for instance in _entries(folder):
        for entry in _entries(Path(instance)):
            if not _is_like(entry.name, _LIVING_INSTANCE):
                yield from _walk(entry)


def _walk(entry: os.DirEntry[str]) -> Iterator[Path]:
    if entry.is_dir(follow_symlinks=False):
        for inner in _entries(Path(entry)):
            yield from _walk(inner)
    elif entry.is_file(follow_symlinks=False):
        yield Path(entry)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_like(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
