"""One job's attendant: from the ledger to the platform, along its log, and to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.jobs import alarm, limits, states, twins
from gateway.jobs.ledger import Ledger
from gateway.jobs.measured import measured, tokens_of
from gateway.jobs.model import Job, JobState, Observation
from gateway.jobs.states import Step
from gateway.jobs.submitter import Submitter
from gateway.jobs.wishes import Wishes
from gateway.logs.collector import Collector, FindRedactor
from gateway.logs.store import Ending, JobLog, LogStore
from gateway.logs.wire import LogLine
from gateway.platform import Platforms
from gateway.replacing import replace

DRAIN_SECONDS = 10.0
"""How long a job's end is held back until its log is read to the end."""

REST_SECONDS = 3600.0
"""How long the rest of a log is asked for behind the job's end: outages of platforms last minutes."""

ARTIFACT_SECONDS = 10.0
"""How long a job's end is held back until its files are listed."""

LIMIT_SECONDS = 5.0
"""Time between two looks at what a job has used."""

BUDGET_WARNING = "budget_warning"
"""Kind of the event that tells of a budget that is nearly used up; a job has at most one."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What every attendant needs."""

    ledger: Ledger
    submitter: Submitter
    wishes: Wishes
    platforms: Platforms
    logs: LogStore
    clock: Clock
    find_redactor: FindRedactor
    drop_secrets: Callable[[str], Awaitable[object]]
    """Forgets what this job alone could still have printed, now that its log is closed."""
    list_artifacts: Callable[[str], Awaitable[Sequence[str]]]
    """Looks at a job's files before its end is announced, and says what is wrong with them."""
    note_rejected: Callable[[str, str], Awaitable[object]]
    """Notes that a connection's credentials are no longer accepted, and what the platform said."""


class Attendant:
    """Attend one job until it has ended."""

    def __init__(
        self, job_id: str, around: Surroundings, poke: Callable[[Job], None], *, is_begun: bool = False
    ) -> None:
        self._job_id = job_id
        self._is_begun = is_begun
        self._around = around
        self._poke = poke
        self._end: asyncio.Future[Observation] = asyncio.get_running_loop().create_future()

    def ended(self, seen: Observation) -> None:
        """Say that the platform reports the job's end."""
        if not self._end.done():
            self._end.set_result(seen)

    async def run(self) -> None:
        """Submit the job if need be, collect its log, carry out what users want of it, and announce its end."""
        with self._around.logs.open(self._job_id) as job_log:
            job_log.is_live = True
            try:
                was_submitted = bool((await self._around.ledger.get(self._job_id)).platform_job_id)
                job = await self._around.submitter.run(self._job_id, is_begun=self._is_begun)
                is_complete = True
                if not job.state.is_terminal or (job.platform_job_id and job_log.ending is None):
                    job, is_complete = await self._attend(job, job_log, was_submitted=was_submitted)
                if job_log.ending is None:
                    job_log.finish(Ending(job.state, is_complete))
                if job.is_log_open:
                    await self._around.ledger.close_log(job.id, job_log.segments.mark.last_seq)
                await self._around.drop_secrets(job.id)
            finally:
                job_log.is_live = False

    async def _attend(self, job: Job, job_log: JobLog, *, was_submitted: bool) -> tuple[Job, bool]:
        collector = Collector(
            job,
            job_log,
            platforms=self._around.platforms,
            find_redactor=self._around.find_redactor,
            clock=self._around.clock,
            on_end=lambda: self._poke(job),
            measure=self._measure,
            is_late=was_submitted,
        )
        async with asyncio.TaskGroup() as tasks:
            collecting = tasks.create_task(collector.run())
            if not job.state.is_terminal:
                seen = await self._end_of(job, tasks)
                job = await self._wind_up(seen, collector, collecting, job_log)
            collector.job_ended()
            is_complete = await _is_read(collecting, REST_SECONDS)
            collecting.cancel()
        return job, is_complete

    async def _end_of(self, job: Job, tasks: asyncio.TaskGroup) -> Observation:
        """Do what is to be done until the job's end, and return what its platform says of that."""
        self._poke(job)
        works = [tasks.create_task(work) for work in await self._works(job)]
        try:
            return await self._end
        finally:
            for work in works:
                work.cancel()

    async def _works(self, job: Job) -> list[Coroutine[None, None, None]]:
        """Return what is to be done meanwhile: nothing for most jobs, without limits and submitted once."""
        is_repeated = await self._around.ledger.last_event(job.id, (twins.REPEATED,)) is not None
        works = [self._enforce_limits()] if job.limits.are_watched else []
        return [*works, self._look_for_twin()] if is_repeated else works

    async def _wind_up(
        self, seen: Observation, collector: Collector, collecting: asyncio.Task[bool], job_log: JobLog
    ) -> Job:
        """Announce the job's end, with its log where that can soon be had; else the log comes behind it."""
        await self._finalize(seen)
        collector.job_ended()
        is_drained = await _is_read(collecting, DRAIN_SECONDS)
        doubts = await self._look_at_artifacts()
        return await self._announce(seen, doubts, job_log, is_drained=is_drained)

    async def _measure(self, job_id: str, lines: Sequence[LogLine], first_seq: int) -> None:
        points = measured(lines, first_seq, self._around.clock.now())
        if not points:
            return
        await self._around.ledger.add_metrics(job_id, points)
        if tokens := tokens_of(points):
            await self._around.ledger.change(job_id, lambda now: Step(replace(now, tokens=max(now.tokens, tokens))))

    async def _finalize(self, seen: Observation) -> None:
        """Show that the job is over but for its log and its files."""
        await self._around.ledger.change(self._job_id, lambda now: states.over(now, seen, self._around.clock.now()))

    async def _look_at_artifacts(self) -> str:
        try:
            async with asyncio.timeout(ARTIFACT_SECONDS):
                return "; ".join(await self._around.list_artifacts(self._job_id))
        except (GatewayError, TimeoutError) as error:
            log.info("artifacts not listed", job_id=self._job_id, error=str(error))
            return f"its files could not be looked at: {str(error) or 'their list did not come in time'}"

    async def _announce(self, seen: Observation, doubts: str, job_log: JobLog, *, is_drained: bool) -> Job:
        last_seq = job_log.segments.mark.last_seq

        def apply(now: Job) -> Step:
            step = states.observe(now, seen, self._around.clock.now())
            is_success = step.job.state is JobState.SUCCEEDED
            step = states.remarked(step, (doubts if is_success else "", alarm.still_held(step.job)))
            return replace(step, job=replace(step.job, last_log_seq=last_seq, is_log_open=not is_drained))

        job = await self._around.ledger.change(self._job_id, apply)
        if words := alarm.still_held(job):
            log.warning("machine still held", job_id=job.id, connection_id=job.connection_id, why=words)
        return job

    async def _enforce_limits(self) -> None:
        is_warned = False
        while True:
            job = await self._around.ledger.get(self._job_id)
            if job.state is not JobState.CANCELLING and (breach := limits.breach(job, self._around.clock.now())):
                await self._stop(breach)
            elif not is_warned and (words := limits.warning(job, self._around.clock.now())):
                is_warned = True
                await self._warn(job, words)
            await asyncio.sleep(LIMIT_SECONDS)

    async def _look_for_twin(self) -> None:
        ledger = self._around.ledger
        if await ledger.last_event(self._job_id, (twins.FOUND,)):
            return
        for seconds in twins.LOOK_AFTER_SECONDS:
            await asyncio.sleep(seconds)
            job = await ledger.get(self._job_id)
            try:
                twin = await twins.find_twin(await self._around.platforms.platform(job.connection_id), job)
            except GatewayError as error:
                log.info("no look for a second machine", job_id=job.id, reason=error.reason, error=error.message)
                continue
            if twin:
                log.warning("platform started a job twice", job_id=job.id, platform_job_id=twin)
                await ledger.change(job.id, partial(twins.told, twin=twin))
                return

    async def _warn(self, job: Job, words: str) -> None:
        if await self._around.ledger.last_event(job.id, (BUDGET_WARNING,)):
            # An earlier start of the gateway did it.
            return
        log.warning("budget nearly used up", job_id=job.id, connection_id=job.connection_id, why=words)
        await self._around.ledger.change(job.id, lambda now: Step(replace(now, message=words), BUDGET_WARNING, words))

    async def _stop(self, breach: limits.Breach) -> None:
        def wanted(now: Job) -> Step:
            return states.request_cancel(now, breach.reason, breach.message)

        try:
            job = await self._around.ledger.change(self._job_id, wanted)
        except GatewayError as error:
            # Money is spent whether or not the ledger can be written; the next look at the limits notes it.
            log.warning("cancel cannot be noted", job_id=self._job_id, error=error.message)
            job = wanted(await self._around.ledger.get(self._job_id)).job
        await self._around.wishes.ask(job)


async def _is_read(collecting: asyncio.Task[bool], seconds: float) -> bool:
    """Wait for the log's end, and tell whether it came with every line."""
    await asyncio.wait([collecting], timeout=seconds)
    return collecting.done() and not collecting.cancelled() and collecting.result()
