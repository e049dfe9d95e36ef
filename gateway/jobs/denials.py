"""Jobs that their platform says not to know."""

from __future__ import annotations

import structlog

from gateway.clock import Clock
from gateway.errors import GatewayError, Reason, RemoteError
from gateway.jobs.model import Job
from gateway.platform import Platforms

LOST_SECONDS = 300.0
"""How long a platform must deny in every look that it knows a job, until the job counts as lost: lists lag behind."""

LIST = "list_jobs"

log = structlog.get_logger(__name__)


class Denials:
    """Remember since when the platform of one connection denies which job; only the platform itself can say that."""

    def __init__(self, connection_id: str, platforms: Platforms, clock: Clock) -> None:
        self._connection_id = connection_id
        self._platforms = platforms
        self._clock = clock
        self._since: dict[str, float] = {}

    def forget(self, job_id: str) -> None:
        """Take note that the platform knows a job, or did not say."""
        self._since.pop(job_id, None)

    async def is_lost(self, job: Job, why: GatewayError) -> bool:
        """Take note of why a look at a job failed; return whether it has been denied for so long that it is lost."""
        if not isinstance(why, RemoteError) or why.reason is not Reason.NOT_FOUND:
            self.forget(job.id)
            return False
        now = self._clock.monotonic()
        if now - self._since.setdefault(job.id, now) < LOST_SECONDS or await self._is_listed(job):
            return False
        self.forget(job.id)
        return True

    async def _is_listed(self, job: Job) -> bool:
        """Whether the platform's own list has a job that it denies, or cannot be read: then nothing is certain."""
        try:
            platform = await self._platforms.platform(self._connection_id)
            if LIST not in (await platform.describe()).capabilities:
                return False
            ids = {(one.platform_job_id, one.submission_token) for one in await platform.list_jobs()}
        except GatewayError as error:
            log.info("list not read", job_id=job.id, reason=error.reason, error=error.message)
            return True
        return any(job.platform_job_id == known or job.submission_token == token for known, token in ids)
