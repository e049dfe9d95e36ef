"""Notices changes of connectors' files, by looking at them again and again.

Looking works on every mount, for folders that are not there yet and for files that an editor replaces, which no watch
of the system does. A change counts when nothing has changed any more for one pause: a checkout writes many files.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

PAUSE_SECONDS = 0.5
"""Between two looks."""
PAUSE_FACTOR = 50
"""The same as a multiple of what a look takes, so that many files are looked at less often."""

_Mark = tuple[int, int, int]


class Changes:
    """Watches folders and files. What changes after it was made is told."""

    def __init__(self, places: Sequence[Path]) -> None:
        self._places = places
        self._seen = _look(places)

    async def __aiter__(self) -> AsyncIterator[frozenset[Path]]:
        """Yield the files that came, went or changed, when they have come to rest."""
        changed: frozenset[Path] = frozenset()
        took = 0.0
        while True:
            await asyncio.sleep(max(PAUSE_SECONDS, took * PAUSE_FACTOR))
            begun = time.monotonic()
            now = await asyncio.to_thread(_look, self._places)
            took = time.monotonic() - begun
            fresh = frozenset(path for path, _ in self._seen.items() ^ now.items())
            self._seen = now
            if changed and not fresh:
                yield changed
                changed = fresh
            changed |= fresh


def _look(places: Sequence[Path]) -> dict[Path, _Mark]:
    return {path: mark for place in places for path in _files(place) if (mark := _mark(path))}


def _files(place: Path) -> Iterator[Path]:
    if not place.is_dir():
        yield place
        return
    for folder, inner, names in os.walk(place):
        inner[:] = [name for name in inner if not name.startswith(".") and name != "__pycache__"]
        yield from (Path(folder, name) for name in names if not name.startswith("."))


def _mark(path: Path) -> _Mark | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
