"""What is wanted of jobs and not so yet: platforms are asked for it again, whoever crashed in between."""

from __future__ import annotations

import asyncio

import structlog

from gateway.backoff import Backoff
from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.jobs import alarm, states
from gateway.jobs.ledger import Ledger
from gateway.jobs.model import Job, JobState
from gateway.platform import Platform, Platforms

WISH_FIRST_SECONDS = 5.0
"""Pause before a platform is asked again to do what it was asked for; it grows."""

WISH_CAP_SECONDS = 60.0

log = structlog.get_logger(__name__)


class Wishes:
    """Ask for what all open jobs' states say is wanted; a task for each job would cost every submission one."""

    def __init__(self, ledger: Ledger, platforms: Platforms, clock: Clock) -> None:
        self._ledger = ledger
        self._platforms = platforms
        self._clock = clock
        self._pursued: set[str] = set()

    async def run(self) -> None:
        """Look for wishes for ever; whoever noted one asked for it once."""
        self._pursued.clear()
        async with asyncio.TaskGroup() as tasks:
            while True:
                for job in self._ledger.open_jobs():
                    if _is_wanting(job) and job.id not in self._pursued:
                        self._pursued.add(job.id)
                        tasks.create_task(self._pursue(job.id))
                await asyncio.sleep(WISH_FIRST_SECONDS)

    async def ask(self, job: Job) -> None:
        """Ask a platform once; what it refuses for good is wanted no longer."""
        try:
            await carry_out(await self._platforms.platform(job.connection_id), job)
        except GatewayError as error:
            log.warning(
                "wish not carried out", job_id=job.id, state=job.state, reason=error.reason, error=error.message
            )
            if not error.is_transient:
                refusal = error.message
                await self._ledger.change(job.id, lambda now: states.refuse_wish(now, refusal))

    async def _pursue(self, job_id: str) -> None:
        backoff = Backoff(WISH_FIRST_SECONDS, WISH_CAP_SECONDS)
        try:
            while _is_wanting(job := await self._ledger.get(job_id)):
                await self._ask_again(job)
                await asyncio.sleep(backoff.next_seconds())
        finally:
            self._pursued.discard(job_id)

    async def _ask_again(self, job: Job) -> None:
        try:
            await self.ask(job)
            await self._raise_alarm(job)
        except GatewayError as error:
            # A ledger that cannot be written: what is wanted is there to be seen again.
            log.warning("wish not noted", job_id=job.id, reason=error.reason, error=error.message)

    async def _raise_alarm(self, job: Job) -> None:
        asked = await self._ledger.last_event(job.id, ("cancel_requested",))
        if words := alarm.overdue(job, asked.time if asked else None, self._clock.now()):
            log.warning("job does not end", job_id=job.id, connection_id=job.connection_id, why=words)
            await self._ledger.change(job.id, lambda now: alarm.raised(now, words))


async def carry_out(platform: Platform, job: Job) -> None:
    """Ask the platform for what the job's state says is wanted."""
    if job.state is JobState.CANCELLING:
        await platform.cancel(job.platform_job_id)
    elif job.state is JobState.PAUSING:
        await platform.pause(job.platform_job_id)
    elif job.state is JobState.RESUMING:
        await platform.resume(job.platform_job_id)


def _is_wanting(job: Job) -> bool:
    is_wish = job.state in (JobState.CANCELLING, JobState.PAUSING, JobState.RESUMING)
    return is_wish and bool(job.platform_job_id) and not job.is_let_go
