"""All downloads that are under way: one per file, owned here and not by the call that wanted it first."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass

from gateway.artifacts.fill import Fill

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FillKey:
    """One version of one file."""

    job_id: str
    artifact_id: str
    version: tuple[int | None, str, str]
    """Size, checksum and etag as the platform listed them."""

    @property
    def name(self) -> str:
        """A name for its file, the same in every life of the gateway."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:32]


class Fills:
    """Start downloads, and end them when the gateway does."""

    def __init__(self) -> None:
        self._fills: dict[FillKey, Fill] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def join(self, key: FillKey, make: Callable[[], Fill]) -> Fill:
        """Return the download of a file; starts it where there is none."""
        fill = self._fills.get(key)
        if fill is None:
            fill = self._fills[key] = make()
            task = asyncio.create_task(self._run(key, fill), name=f"fill {key.job_id} {key.artifact_id}")
            self._tasks.add(task)
            task.add_done_callback(self._forget)
        return fill

    async def close(self) -> None:
        """End all downloads; their readers are told."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # A task that was cancelled before its first step has told nobody.
        for fill in self._fills.values():
            fill.end()

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _log.error("download failed", extra={"task": task.get_name()}, exc_info=error)

    async def _run(self, key: FillKey, fill: Fill) -> None:
        try:
            await fill.run()
        finally:
            del self._fills[key]
