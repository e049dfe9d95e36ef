"""Notices changes of connectors' files, by looking at them again and again.

Looking works on every mount, for folders that are not there yet and for files that an editor replaces, which no watch
of the system does. A change counts when nothing has changed any more for one pause: a checkout writes many files.
"""

from __future__ import annotations

import asyncio
import math
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from pathlib import Path

PAUSE_SECONDS = 0.9
"""Between two looks: whoever edits is served within a second and a half, with the shorter pause behind a change."""
SHORT_PAUSE_SECONDS = 0.5
"""The same while something has changed of late."""
LATELY_SECONDS = 120.0
"""How long that is: who edits one file soon edits the next."""
PAUSE_FACTOR = 50
"""The pause as a multiple of what a look takes, so that many files are looked at less often."""

_Mark = tuple[int, int, int]
_Files = frozenset[Path]


class Changes:
    """Watches folders and files. What changes after it was made is told."""

    def __init__(self, places: Sequence[Path]) -> None:
        self._places = places
        self._seen = _look(places)
        self._pending: _Files = frozenset()
        self._has_come = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[_Files]:
        """Yield the files that came, went or changed, when they have come to rest."""
        loop, is_over = asyncio.get_running_loop(), threading.Event()

        def tell(changed: _Files) -> None:
            # Without a loop there is nobody to tell.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._take, changed)

        # A thread of its own: a look may wait for a slow disk, and the loop is woken by changes alone.
        threading.Thread(target=self._watch, args=(tell, is_over), name="changes", daemon=True).start()
        try:
            while await self._has_come.wait():
                changed, self._pending = self._pending, frozenset()
                self._has_come.clear()
                yield changed
        finally:
            is_over.set()

    def _take(self, changed: _Files) -> None:
        self._pending |= changed
        self._has_come.set()

    def _watch(self, tell: Callable[[_Files], None], is_over: threading.Event) -> None:
        changed: _Files = frozenset()
        pause, last_change = PAUSE_SECONDS, -math.inf
        while not is_over.wait(pause):
            begun = time.monotonic()
            fresh = self._fresh()
            took = time.monotonic() - begun
            if changed and not fresh:
                tell(changed)
                changed = frozenset()
            changed |= fresh
            last_change = begun if fresh else last_change
            is_lively = begun - last_change < LATELY_SECONDS
            pause = max(SHORT_PAUSE_SECONDS if is_lively else PAUSE_SECONDS, took * PAUSE_FACTOR)

    def _fresh(self) -> _Files:
        """Look, and return what is not as it was seen the last time."""
        before, self._seen = self._seen, _look(self._places)
        return frozenset(Path(path) for path, _ in before.items() ^ self._seen.items())


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
