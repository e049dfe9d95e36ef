"""Notices changes of connectors' files, by looking at them again and again.

Looking works on every mount, for folders that are not there yet and for files that an editor replaces, which no watch
of the system does. A change counts when nothing has changed any more for one pause: a checkout writes many files.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path

PAUSE_SECONDS = 0.5
"""Between two looks."""
LONG_PAUSE_SECONDS = 0.9
"""The same where nothing has changed for a while: whoever edits is still served within a second and a half."""
QUIET_SECONDS = 120.0
"""How long nothing must have changed for that."""
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
        took, last_change = 0.0, time.monotonic()
        while True:
            is_quiet = time.monotonic() - last_change > QUIET_SECONDS
            await asyncio.sleep(max(LONG_PAUSE_SECONDS if is_quiet else PAUSE_SECONDS, took * PAUSE_FACTOR))
            begun = time.monotonic()
            now = await asyncio.to_thread(_look, self._places)
            took = time.monotonic() - begun
            fresh = frozenset(Path(path) for path, _ in self._seen.items() ^ now.items())
            self._seen = now
            if fresh:
                last_change = begun
            if changed and not fresh:
                yield changed
                changed = fresh
            changed |= fresh


def _look(places: Sequence[Path]) -> dict[str, _Mark]:
    seen: dict[str, _Mark] = {}
    for place in map(os.fspath, places):
        if os.path.isdir(place):
            _look_below(place, seen)
        else:
            with suppress(OSError):
                seen[place] = _mark(os.stat(place))
    return seen


def _look_below(folder: str, seen: dict[str, _Mark]) -> None:
    try:
        with os.scandir(folder) as found:
            entries = [entry for entry in found if not entry.name.startswith(".")]
    except OSError:
        return
    for entry in entries:
        # It may be gone by now, or a link that leads nowhere.
        with suppress(OSError):
            if not entry.is_dir():
                seen[entry.path] = _mark(entry.stat())
            elif entry.name != "__pycache__" and not entry.is_symlink():
                _look_below(entry.path, seen)


def _mark(found: os.stat_result) -> _Mark:
    return found.st_mtime_ns, found.st_size, found.st_ino
