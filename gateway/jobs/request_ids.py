"""Jobs by the request ids that they were submitted under, many with one question."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from gateway.jobs.model import Job
from gateway.together import Together

Read = Callable[[Sequence[str]], Awaitable[Sequence[Job]]]
"""Returns those jobs of some request ids that there are."""

MOST = 256
"""Ids in one question; databases have limits, the lowest is 999."""


class RequestIds:
    """Find jobs by their request ids."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._questions = Together(self._find_all, MOST)

    async def find(self, request_id: str) -> Job | None:
        """Return the job of a request id; None = there was none when this was asked."""
        return await self._questions.do(request_id)

    async def _find_all(self, request_ids: Sequence[str]) -> list[Job | None]:
        jobs = {job.request_id: job for job in await self._read(request_ids)}
        return [jobs.get(request_id) for request_id in request_ids]
