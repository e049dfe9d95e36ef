"""Tells watchers of connectors' changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable

from gateway.plugins.model import ConnectorStatus

QUEUE_LENGTH = 1024
"""Changes that a slow watcher may be behind; with more it skips to the present."""


class Board:
    """Hands every change to every watcher."""

    def __init__(self, present: Callable[[], Iterable[ConnectorStatus]]) -> None:
        self._present = present
        self._queues: set[asyncio.Queue[ConnectorStatus | None]] = set()

    def publish(self, status: ConnectorStatus) -> None:
        """Tell of a change."""
        for queue in self._queues:
            if queue.full():
                self._skip(queue)
            else:
                queue.put_nowait(status)

    async def watch(self, connector_id: str | None) -> AsyncGenerator[ConnectorStatus, None]:
        """Yield every connector as it is now, and then each change, until the board is closed."""
        queue: asyncio.Queue[ConnectorStatus | None] = asyncio.Queue(QUEUE_LENGTH)
        self._fill(queue)
        self._queues.add(queue)
        try:
            while (status := await queue.get()) is not None:
                if connector_id in (None, status.id):
                    yield status
        finally:
            self._queues.discard(queue)

    def close(self) -> None:
        """End all watches."""
        for queue in self._queues:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(None)

    def _skip(self, queue: asyncio.Queue[ConnectorStatus | None]) -> None:
        while not queue.empty():
            queue.get_nowait()
        self._fill(queue)

    def _fill(self, queue: asyncio.Queue[ConnectorStatus | None]) -> None:
        for status in self._present():
            if not queue.full():
                queue.put_nowait(status)
