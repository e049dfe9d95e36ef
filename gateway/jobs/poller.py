"""One look at all jobs of a connection at a time: often while things move, seldom while they don't."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import TypeVar

import structlog

from gateway.clock import Clock
from gateway.errors import GatewayError, NotFound, Reason
from gateway.jobs import states
from gateway.jobs.denials import Denials
from gateway.jobs.ledger import Ledger
from gateway.jobs.measured import tokens_of
from gateway.jobs.model import Job, JobReason, JobState, Metric, Observation, ResourceState
from gateway.jobs.rhythm import START_SECONDS, STEADY_SECONDS, Rhythm
from gateway.jobs.states import Step
from gateway.platform import Platform, Platforms
from gateway.plugins.model import Description

PARALLEL_METRICS = 4
"""Jobs whose metrics are read at a time: one slow answer must not hold up the others."""

PATIENCE_SECONDS = 1.0
"""How long a user's look waits for one that is under way: one that takes longer may wait for its turn to call."""

POLL_SHARE = 0.5
"""Share of a connection's calls that looks may use: less than the limiter lets them, so that they seldom wait."""

BATCH = "batch_get_job_status"
METRICS = "get_metrics"

NO_NEWS: Mapping[str, datetime] = MappingProxyType({})
"""For a look at all jobs."""

Result = TypeVar("Result")

log = structlog.get_logger(__name__)


class Poller:
    """Keep the open jobs of one connection fresh."""

    def __init__(
        self,
        connection_id: str,
        *,
        ledger: Ledger,
        platforms: Platforms,
        clock: Clock,
        on_ended: Callable[[Job, Observation], None],
        on_rejected: Callable[[str, str], Awaitable[object]],
    ) -> None:
        self._connection_id = connection_id
        self._ledger = ledger
        self._platforms = platforms
        self._clock = clock
        self._on_ended = on_ended
        self._on_rejected = on_rejected
        self._rhythm = Rhythm()
        self._looking = asyncio.Lock()
        self._asked = asyncio.Lock()
        """Held by looks that somebody waits for; they need not wait for others, whose calls come behind users'."""
        self._is_look_at_all = False
        """Whether the look that nobody waits for is one at all jobs."""
        self._pace = 0.0
        """Shortest time between two looks that keeps within the calls that the platform allows."""
        self._denials = Denials(connection_id, platforms, clock)

    def poke(self, job_id: str) -> None:
        """Look at a job soon: something happened that probably changed it."""
        self._rhythm.hear(job_id, self._clock.now())

    async def run(self) -> None:
        """Look for ever; without jobs nobody is asked anything, and an idle connector is left alone."""
        while True:
            news = await self._rhythm.next(is_idle=not self._jobs())
            has_changed = await self._look_if_possible(news)
            shortest = await self._shortest() if self._jobs() else START_SECONDS
            self._rhythm.looked(shortest, self._pace, has_changed=has_changed, is_at_all=not news)

    async def _look_if_possible(self, news: Mapping[str, datetime]) -> bool:
        try:
            return await self._look_unasked(news)
        except GatewayError as error:
            # A full disk: what is seen cannot be noted, and is there to be seen again.
            log.warning("look not noted", connection_id=self._connection_id, reason=error.reason, error=error.message)
            return False

    async def look(self, first: str = "") -> bool:
        """Look at the open jobs once, for somebody who waits; callers at the same time share one look.

        Where each job costs a call and calls are few, only some are looked at, `first` and those whose last look is
        longest ago.

        Returns:
            Whether any job changed.

        """
        if self._looking.locked():
            is_at_all = self._is_look_at_all
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_SECONDS), self._looking:
                    if is_at_all:
                        return True
        is_shared = self._asked.locked()
        async with self._asked:
            return is_shared or await self._look(first=first)

    async def _look_unasked(self, news: Mapping[str, datetime]) -> bool:
        if self._asked.locked() and not news:
            async with self._asked:
                return True
        async with self._looking:
            self._is_look_at_all = not news
            return await self._look(news)

    async def _look(self, news: Mapping[str, datetime] = NO_NEWS, first: str = "") -> bool:
        jobs = self._jobs()
        if news:
            # Those that a user has had looked at since are left out: calls may be few.
            jobs = [job for job in jobs if job.id in news and (job.observed_at or job.created_at) <= news[job.id]]
        if not jobs:
            return bool(news)
        try:
            platform = await self._platforms.platform(self._connection_id)
        except NotFound:
            for job in jobs:
                self._on_ended(job, _let_go(job))
            return True
        try:
            said = await platform.describe()
        except GatewayError as error:
            await self._note_failure(jobs, error)
            return False
        chosen, pace = _chosen(jobs, said, first)
        if not news:
            self._pace = pace
        return await self._look_at(chosen, platform)

    async def _look_at(self, jobs: list[Job], platform: Platform) -> bool:
        try:
            seen = await platform.look([job.platform_job_id for job in jobs])
        except GatewayError as error:
            await self._note_failure(jobs, error)
            return False
        answers = [(job, seen.get(job.platform_job_id)) for job in jobs]
        found = [(job, answer) for job, answer in answers if isinstance(answer, Observation)]
        news = [(job, one) for job, one in found if not self._is_known(job, one)]
        # All at once, so that what has changed is stored together.
        changes = await _all(self._apply(job, one) for job, one in news)
        for job, answer in answers:
            if not isinstance(answer, Observation):
                changes.append(await self._miss(job, answer))
        if await _gives_metrics(platform):
            slots = asyncio.Semaphore(PARALLEL_METRICS)
            async with asyncio.TaskGroup() as tasks:
                for job, one in found:
                    tasks.create_task(self._collect(job, one, platform, slots))
        else:
            for job, one in found:
                self._tell_end(job, one)
        return any(changes)

    def _jobs(self) -> list[Job]:
        return [job for job in self._ledger.open_jobs(self._connection_id) if job.platform_job_id]

    async def _miss(self, job: Job, why: Exception | None) -> bool:
        if not isinstance(why, GatewayError):
            self._denials.forget(job.id)
            return False
        await self._note_failure([job], why)
        is_lost = await self._denials.is_lost(job, why)
        if is_lost:
            self._on_ended(job, _lost(job))
        return is_lost

    def _is_known(self, job: Job, seen: Observation) -> bool:
        """Note that a job was looked at; whether that is all there is to note."""
        self._denials.forget(job.id)
        return seen.state in (None, job.state) and self._ledger.refresh(
            job.id, lambda now: states.observe(now, seen, self._clock.now())
        )

    async def _apply(self, job: Job, seen: Observation) -> bool:
        if _is_end(seen):
            return True
        after = await self._ledger.change(job.id, lambda now: states.observe(now, seen, self._clock.now()))
        return (after.state, after.progress) != (job.state, job.progress)

    def _tell_end(self, job: Job, seen: Observation) -> None:
        if _is_end(seen):
            self._on_ended(job, seen)

    async def _collect(self, job: Job, seen: Observation, platform: Platform, slots: asyncio.Semaphore) -> None:
        """Read what a job measured; its end is told only then, so that nothing is missing behind it."""
        try:
            async with slots:
                await self._collect_metrics(job, platform)
        finally:
            self._tell_end(job, seen)

    async def _collect_metrics(self, job: Job, platform: Platform) -> None:
        try:
            points, cursor = await platform.metrics(job.platform_job_id, job.metrics_cursor)
            await self._keep_metrics(job, points, cursor)
        except GatewayError as error:
            log.info("metrics not read", job_id=job.id, reason=error.reason, error=error.message)

    async def _keep_metrics(self, job: Job, points: Sequence[Metric], cursor: str) -> None:
        await self._ledger.add_metrics(job.id, points)
        if tokens := tokens_of(points):
            await self._ledger.change(job.id, lambda now: Step(replace(now, tokens=max(now.tokens, tokens))))
        if points and cursor != job.metrics_cursor:
            await self._ledger.change(job.id, lambda now: Step(replace(now, metrics_cursor=cursor)))

    async def _note_failure(self, jobs: list[Job], error: GatewayError) -> None:
        """Mark records as stale: a failed look is no news of the job, and never changes its state."""
        if error.is_unsent and error.reason is Reason.RATE_LIMITED:
            # The gateway itself held the look back, so that nothing failed: it comes when it is its turn.
            return
        text = f"{error.reason}: {error.message}"
        if error.reason is Reason.CREDENTIALS_REJECTED:
            await self._on_rejected(self._connection_id, error.message)
        await _all(self._ledger.change(job.id, lambda now: Step(replace(now, last_error=text))) for job in jobs)

    async def _shortest(self) -> float:
        try:
            platform = await self._platforms.platform(self._connection_id)
            wish = (await platform.describe()).min_poll_interval
        except GatewayError:
            return START_SECONDS
        return START_SECONDS if wish is None else wish.total_seconds()


def _chosen(jobs: list[Job], said: Description, first: str) -> tuple[list[Job], float]:
    """Choose the jobs of one look, and say how long to wait until the next one."""
    if not said.requests_per_minute:
        return jobs, 0.0
    calls = said.requests_per_minute * POLL_SHARE
    each = (BATCH not in said.capabilities) + (METRICS in said.capabilities)
    most = max(1, int(calls * STEADY_SECONDS / 60 / each)) if each else len(jobs)
    oldest_first = sorted(jobs, key=lambda job: (job.id != first, job.observed_at or job.created_at))
    chosen = oldest_first[:most]
    return chosen, 60 * max(1, each * len(chosen)) / calls


async def _all(works: Iterable[Awaitable[Result]]) -> list[Result]:
    """Do all of it, whichever fails, and raise the first failure then."""
    results = await asyncio.gather(*works, return_exceptions=True)
    if failure := next((result for result in results if isinstance(result, BaseException)), None):
        raise failure
    return [result for result in results if not isinstance(result, BaseException)]


async def _gives_metrics(platform: Platform) -> bool:
    try:
        return METRICS in (await platform.describe()).capabilities
    except GatewayError as error:
        log.info("metrics not read", reason=error.reason, error=error.message)
        return False


def _is_end(seen: Observation) -> bool:
    return seen.state is not None and seen.state.is_terminal


def _lost(job: Job) -> Observation:
    if job.state is JobState.CANCELLING:
        # What nobody knows any more does not run: that is the confirmation.
        return Observation(state=JobState.CANCELLED, message="the platform no longer knows the job")
    message = f"the platform no longer knows the job, which it called {job.platform_job_id}; it was deleted there"
    return Observation(
        state=JobState.FAILED, reason=JobReason.LOST, message=message, resource_state=ResourceState.UNKNOWN
    )


def _let_go(job: Job) -> Observation:
    message = (
        "its connection was closed by force, so that it is no longer followed; "
        f"it may still run on the platform, which calls it {job.platform_job_id}"
    )
    return Observation(
        state=JobState.FAILED, reason=JobReason.LOST, message=message, resource_state=ResourceState.UNKNOWN
    )
