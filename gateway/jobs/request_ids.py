"""Jobs by the request ids that they were submitted under, many with one question.

All that are asked for while one question is under way are asked for together with the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from gateway.jobs.model import Job

Read = Callable[[Sequence[str]], Awaitable[Sequence[Job]]]
"""Returns those jobs of some request ids that there are."""

MOST = 256
"""Ids in one question; databases have limits, the lowest is 999."""

_Asked = tuple[str, "asyncio.Future[Job | None]"]


class RequestIds:
    """Find jobs by their request ids."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._waiting: list[_Asked] = []
        self._asking: asyncio.Task[None] | None = None

    async def find(self, request_id: str) -> Job | None:
        """Return the job of a request id; None = there was none when this was asked."""
        found: asyncio.Future[Job | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((request_id, found))
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_all())
        return await found

    async def _ask_all(self) -> None:
        asked: Sequence[_Asked] = ()
        try:
            while self._waiting:
                asked, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                await self._ask(asked)
        finally:
            self._asking = None
            # Only where the whole program ends is anything left: nobody may wait for it then.
            for _, found in (*asked, *self._waiting):
                found.cancel()

    async def _ask(self, asked: Sequence[_Asked]) -> None:
        try:
            jobs = {job.request_id: job for job in await self._read([request_id for request_id, _ in asked])}
        except Exception as error:
            for _, found in asked:
                if not found.done():
                    found.set_exception(error)
            return
        for request_id, found in asked:
            # Whoever asked may have hung up.
            if not found.done():
                found.set_result(jobs.get(request_id))
