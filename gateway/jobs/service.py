"""What clients can do with jobs that there are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import timedelta

from gateway.clock import Clock
from gateway.errors import (
    GatewayError,
    Unsupported,
)
from gateway.jobs import states
from gateway.jobs.ledger import Ledger
from gateway.jobs.model import Job, JobFilter, JobReason, JobState
from gateway.jobs.states import Step
from gateway.jobs.tracker import Tracker
from gateway.jobs.wishes import carry_out
from gateway.platform import Platforms
from gateway.store.jobs import Change

CANCEL = "cancel_job"
"""Capability of a connector that can end a job early."""

LOOK_SECONDS = 10.0
"""How long a user waits for a look at a job."""

DESCRIBE_SECONDS = 2.0
"""How long a cancel waits to hear whether the connector can do it; one that runs answers at once."""

CANCEL_SECONDS = 10.0
"""How long a cancel waits for the platform; the job's attendant asks on."""


class Jobs:
    """Look at jobs, and say what shall become of them."""

    def __init__(self, *, ledger: Ledger, tracker: Tracker, platforms: Platforms, clock: Clock) -> None:
        self.ledger = ledger
        self._tracker = tracker
        self._platforms = platforms
        self._clock = clock

    async def get(self, job_id: str, max_staleness: timedelta | None = None) -> Job:
        """Return a job; looks at its platform first if the last look is older than `max_staleness`."""
        job = await self.ledger.get(job_id)
        if max_staleness is None:
            return job
        oldest = self._clock.now() - max_staleness
        # A look that is under way already may have seen the job before it was asked for; the next one has not.
        for _ in range(2):
            if job.state.is_terminal or (job.observed_at is not None and job.observed_at >= oldest):
                break
            with suppress(TimeoutError):
                # What the platform allows may be used up for longer than a user waits; the record as it is will do.
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._tracker.look(job)
            job = await self.ledger.get(job_id)
            if job.last_error:
                break
        return job

    def shown(self, job: Job) -> Job:
        """Return a job as people see it: with its place in the line, where it waits in one."""
        return self._tracker.line.shown(job)

    async def watch(
        self, job_filter: JobFilter, since: int, *, hears_metrics: bool = False
    ) -> AsyncIterator[list[Change]]:
        """Yield changes of jobs; an empty list is a sign of life, or of new metrics where those are waited for."""
        if job_filter.job_id:
            await self.ledger.get(job_filter.job_id)
        async for changes in self.ledger.watch(job_filter, since, hears_metrics=hears_metrics):
            yield changes

    async def cancel(self, job_id: str) -> Job:
        """Note that the job shall end and ask its platform; a platform that does not answer is asked again."""
        reason, message = JobReason.CANCELLED_BY_USER, "cancel was requested"
        return await self._wish(job_id, CANCEL, lambda job: states.request_cancel(job, reason, message))

    async def pause(self, job_id: str) -> Job:
        """Ask for a pause behind a checkpoint."""
        return await self._wish(job_id, "pause_job", states.request_pause)

    async def resume(self, job_id: str) -> Job:
        """Ask for a paused job to go on."""
        return await self._wish(job_id, "resume_job", states.request_resume)

    async def _wish(self, job_id: str, capability: str, request: Callable[[Job], Step]) -> Job:
        job = await self.ledger.get(job_id)
        if job.state.is_terminal and capability == CANCEL:
            return job
        if job.platform_job_id:
            await self._require(job, capability)
        try:
            job = await self.ledger.change(job_id, request)
        except GatewayError:
            if capability == CANCEL and job.platform_job_id:
                # It saves money although it cannot be noted; the error says to ask again.
                await self._carry_out(request(job).job)
            raise
        if job.platform_job_id:
            await self._carry_out(job)
        self._tracker.wake(job)
        return await self.ledger.get(job_id)

    async def _carry_out(self, job: Job) -> None:
        is_cancelling = job.state is JobState.CANCELLING
        try:
            async with asyncio.timeout(CANCEL_SECONDS if is_cancelling else None):
                await carry_out(await self._platforms.platform(job.connection_id), job)
        except TimeoutError:
            # As for a transient error.
            return
        except GatewayError as error:
            text = error.message
            if error.is_transient:
                # The job's attendant asks again; the wish is stored.
                return
            await self.ledger.change(job.id, lambda now: states.refuse_wish(now, text))
            if not is_cancelling:
                raise

    async def _require(self, job: Job, capability: str) -> None:
        try:
            async with asyncio.timeout(DESCRIBE_SECONDS if capability == CANCEL else None):
                platform = await self._platforms.platform(job.connection_id)
                capabilities = (await platform.describe()).capabilities
        except (GatewayError, TimeoutError):
            if capability == CANCEL:
                # Wanting a job's end costs money if it is lost: it is stored whoever is down.
                return
            raise
        if capability not in capabilities:
            raise Unsupported(job.connector_id, capability)
