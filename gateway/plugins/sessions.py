"""Remembers which connections one process has open, and opens each once however many calls need it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Protocol

from gateway.cancellation import only_own_cancellation
from gateway.errors import ConnectorDown

CONNECT_LIMIT = timedelta(seconds=30)
"""For Connect, which asks the platform."""

LoadCredentials = Callable[[], Awaitable[Mapping[str, str]]]


class Connect(Protocol):
    """Opens a connection and returns whose account it is."""

    async def __call__(self, connection_id: str, values: dict[str, str], limit: timedelta) -> str:
        """Open it."""
        ...


class Sessions:
    """The connections of one process. Owns the tasks that open them."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._opening: dict[str, asyncio.Task[str]] = {}
        self._counts: dict[str, int] = {}

    def count(self, connection_id: str) -> int:
        """How often the connection was opened; a call notes it before it begins."""
        return self._counts.get(connection_id, 0)

    async def open(self, connection_id: str, load: LoadCredentials, seen: int) -> None:
        """Open a connection, unless that was done since `seen` was counted.

        Raises:
            GatewayError: The connector refused, its process ended, or the credentials cannot be loaded.

        """
        if self.count(connection_id) != seen:
            return
        task = self._opening.get(connection_id)
        if task is None:
            task = asyncio.create_task(self._open(connection_id, load))
            task.add_done_callback(_look_at)
            self._opening[connection_id] = task
        # One caller that gives up must not take the others' connection away.
        with only_own_cancellation(_closed):
            await asyncio.shield(task)

    async def close(self) -> None:
        """End what is under way."""
        tasks = list(self._opening.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _open(self, connection_id: str, load: LoadCredentials) -> str:
        try:
            account = await self._connect(connection_id, dict(await load()), CONNECT_LIMIT)
            self._counts[connection_id] = self.count(connection_id) + 1
            return account
        finally:
            del self._opening[connection_id]


def _closed() -> ConnectorDown:
    return ConnectorDown("the connector's process ended while the connection was opened in it")


def _look_at(task: asyncio.Task[str]) -> None:
    """Take note of an error even if every caller has given up: nobody else would, and asyncio would complain."""
    if not task.cancelled():
        task.exception()
