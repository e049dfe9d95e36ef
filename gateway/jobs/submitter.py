"""Hand a stored job to its platform: at most one remote job, whatever breaks on the way.

The job and its submission token are in the ledger before the platform is called. After an error that leaves open
whether the call arrived, what follows depends on what the connector declares: KEYED tries again under the same
token, FINDABLE looks first, NONE gives up and says so. A refusal of a later call says nothing of an earlier one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from gateway.backoff import Backoff
from gateway.clock import Clock
from gateway.errors import AMBIGUOUS, GatewayError, LedgerUnavailable, Reason, StorageFull
from gateway.jobs import states, twins
from gateway.jobs.ledger import Ledger
from gateway.jobs.line import Line, hold
from gateway.jobs.model import Job, JobReason, JobState, ResourceState
from gateway.jobs.order import Orders
from gateway.jobs.states import Step
from gateway.platform import Platform, Platforms
from gateway.plugins.model import Description, SubmitSafety
from gateway.replacing import replace

RETRY_FIRST_SECONDS = 0.5
"""Pause before a submission is tried again the first time."""

RETRY_CAP_SECONDS = 60.0

NOTE_CAP_SECONDS = 5.0
"""Longest pause before the ledger is tried again with an answer that only this process knows."""

TURN_SECONDS = 30.0
"""Longest wait of a job in line until it looks again: an owner may have allowed more jobs."""

LOOK_AFTER_SECONDS = (2.0, 5.0, 15.0, 30.0)
"""When a FINDABLE platform is asked whether the job arrived: lists lag behind."""

_FAILURE = {
    Reason.INVALID_CONFIG: JobReason.CONFIG_REJECTED,
    Reason.UNSUPPORTED: JobReason.CONFIG_REJECTED,
    Reason.CREDENTIALS_REJECTED: JobReason.AUTH_REVOKED,
    Reason.FORBIDDEN: JobReason.AUTH_REVOKED,
    Reason.INSUFFICIENT_CREDITS: JobReason.CREDITS_EXHAUSTED,
    Reason.NO_CAPACITY: JobReason.NO_CAPACITY,
    Reason.QUOTA: JobReason.NO_CAPACITY,
    Reason.NOT_FOUND: JobReason.CONFIG_REJECTED,
}

_MENDABLE = frozenset({Reason.CREDENTIALS_REJECTED, Reason.FORBIDDEN})
"""Refusals that end when somebody rotates the credentials: what may have started is followed until then."""

_NEVER_SENT = "cancelled before it was submitted"
_UNKNOWN_THERE = "cancelled; the platform's answer to the submission was lost, and it knows of no such job"
_CANNOT_TELL = "it cannot be asked for a job by its token"

log = structlog.get_logger(__name__)


async def _nobody(connection_id: str, words: str) -> None:
    return


class Submitter:
    """Submit one job, from wherever an earlier try was cut off."""

    def __init__(
        self,
        ledger: Ledger,
        platforms: Platforms,
        orders: Orders,
        clock: Clock,
        note_rejected: Callable[[str, str], Awaitable[object]] = _nobody,
    ) -> None:
        """Take what is needed; `note_rejected` is told whose credentials fail, and the platform's words."""
        self._ledger = ledger
        self._platforms = platforms
        self._orders = orders
        self._clock = clock
        self._note_rejected = note_rejected
        self._woken = ledger.turns
        self._uncalled: set[str] = set()
        """Jobs that were stored with the note that their platform is called, and for which it was not called yet."""
        self.line = Line(ledger)

    def wake(self) -> None:
        """Look again at what is wanted: a job that waits to be tried again may have been cancelled."""
        self._woken.notify()

    def begun(self, job: Job, said: Description) -> Step | None:
        """Return the step that a new job may be stored with: the note that its platform is called; None = not yet.

        Where it is noted and a crash keeps the call from being made, only a platform that knows the token again can be
        called without asking any questions; and only where no job waits for its turn is it certainly this one's.
        """
        is_harmless = said.submit_safety is SubmitSafety.KEYED and not said.concurrent_jobs
        return _started(job) if is_harmless else None

    async def run(self, job_id: str, *, is_begun: bool = False) -> Job:
        """Return when the platform has the job, or never will; a job that `is_begun` was just stored so."""
        if is_begun:
            self._uncalled.add(job_id)
        try:
            return await self._run(job_id)
        finally:
            self._uncalled.discard(job_id)

    async def _run(self, job_id: str) -> Job:
        backoff = Backoff(RETRY_FIRST_SECONDS, RETRY_CAP_SECONDS)
        while True:
            ticket = self._woken.ticket()
            job = await self._ledger.get(job_id)
            if job.platform_job_id or job.state.is_terminal:
                return job
            try:
                if job.state is JobState.CANCELLING and not await self._was_attempted(job):
                    # Nobody need be asked, and its connector may be down.
                    return await self._cancelled(job, _NEVER_SENT)
                platform = await self._platforms.platform(job.connection_id)
                said = await platform.describe()
                if job.state is not JobState.CANCELLING and not self.line.has_turn(job, said.concurrent_jobs):
                    await self._wait_in_line(job, ticket, said.concurrent_jobs)
                elif done := await self._settle(job, platform, said.submit_safety):
                    return done
            except (StorageFull, LedgerUnavailable) as error:
                # Nothing can be noted; what was noted before still says how to go on.
                log.warning("submission cannot be noted", job_id=job_id, error=error.message)
                await self._pause(job, backoff.next_seconds())
            except GatewayError as error:
                if error.reason is Reason.CREDENTIALS_REJECTED:
                    await self._note_rejected(job.connection_id, error.message)
                if not error.is_transient and (done := await self._give_up(job, error)):
                    return done
                await self._note_error(job, error)
                after = error.retry_after.total_seconds() if error.retry_after else 0.0
                await self._pause(job, max(backoff.next_seconds(), after))

    async def _settle(self, job: Job, platform: Platform, safety: SubmitSafety) -> Job | None:
        """Submit, or find out what became of an earlier try; None = try again."""
        attempted = await self._was_attempted(job)
        if attempted and safety is SubmitSafety.FINDABLE:
            found = await self._find(job, platform)
            if found:
                return await self._accepted(job, found)
            # The look took its time: the job may have been cancelled meanwhile.
            job = await self._ledger.get(job.id)
        if attempted and safety is SubmitSafety.NONE:
            return await self._fail(job, JobReason.SUBMIT_AMBIGUOUS, _ambiguous_message(job, _CANNOT_TELL))
        if job.state is JobState.CANCELLING and not (attempted and safety is SubmitSafety.KEYED):
            return await self._cancelled(job, _UNKNOWN_THERE if attempted else _NEVER_SENT)
        order = await self._orders.make(job)
        if job.id in self._uncalled:
            self._uncalled.remove(job.id)
        else:
            await self._ledger.change(job.id, _repeated if attempted else _started)
        try:
            platform_job_id = await platform.submit(order)
        except GatewayError as error:
            if _leaves_nothing(error, safety, attempted=attempted):
                refusal = error.message
                await self._note(job, lambda now: _refused(now, refusal))
            raise
        return await self._accepted(job, platform_job_id)

    async def _note(self, job: Job, apply: Callable[[Job], Step]) -> Job:
        """Change a job, however long its ledger cannot be written: what is known here is known nowhere else."""
        backoff = Backoff(RETRY_FIRST_SECONDS, NOTE_CAP_SECONDS)
        while True:
            try:
                return await self._ledger.change(job.id, apply)
            except (StorageFull, LedgerUnavailable) as error:
                log.warning("answer to a submission cannot be noted", job_id=job.id, error=error.message)
            await asyncio.sleep(backoff.next_seconds())

    async def _give_up(self, job: Job, error: GatewayError) -> Job | None:
        """Fail a job that was refused for good; None = an earlier call may have arrived, and is still asked for."""
        if not await self._was_attempted(job):
            return await self._fail(job, _FAILURE.get(error.reason, JobReason.PLATFORM_ERROR), error.message)
        if error.reason in _MENDABLE:
            return None
        return await self._fail(job, JobReason.SUBMIT_AMBIGUOUS, _ambiguous_message(job, error.message))

    async def _wait_in_line(self, job: Job, ticket: asyncio.Event, most: int) -> None:
        """Wait for a turn in memory alone: each job that ends wakes all that wait."""
        await self._ledger.change(job.id, hold)
        with suppress(TimeoutError):
            async with asyncio.timeout(TURN_SECONDS):
                while True:
                    await ticket.wait()
                    ticket = self._woken.ticket()
                    now = await self._ledger.get(job.id)
                    if now.state is not JobState.QUEUED or self.line.has_turn(now, most):
                        return

    async def _pause(self, job: Job, seconds: float) -> None:
        """Wait, but not once something else is wanted of this very job."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    ticket = self._woken.ticket()
                    if (await self._ledger.get(job.id)).state is not job.state:
                        return
                    await ticket.wait()
        except TimeoutError:
            return

    async def _was_attempted(self, job: Job) -> bool:
        """Whether a call may have reached the platform: one was started, and none was refused after it."""
        if job.id in self._uncalled:
            return False
        last = await self._ledger.last_event(job.id, ("submit_started", twins.REPEATED, "submit_refused"))
        return last is not None and last.kind != "submit_refused"

    async def _find(self, job: Job, platform: Platform) -> str:
        for delay in LOOK_AFTER_SECONDS:
            if found := await platform.find(job.submission_token):
                return found
            await asyncio.sleep(delay)
        return await platform.find(job.submission_token)

    async def _accepted(self, job: Job, platform_job_id: str) -> Job:
        def apply(now: Job) -> Step:
            state = JobState.QUEUED if now.state is JobState.SUBMITTING else now.state
            # What it holds is told by the first look.
            accepted = replace(
                now,
                platform_job_id=platform_job_id,
                state=state,
                message="",
                last_error="",
                resource_state=ResourceState.NONE,
            )
            return Step(accepted, "accepted", f"the platform accepted the job as {platform_job_id}")

        return await self._note(job, apply)

    async def _cancelled(self, job: Job, why: str) -> Job:
        return await self._ledger.change(job.id, lambda now: states.cancelled_before_start(now, self._clock.now(), why))

    async def _fail(self, job: Job, reason: JobReason, message: str) -> Job:
        return await self._ledger.change(job.id, lambda now: states.fail(now, reason, message, self._clock.now()))

    async def _note_error(self, job: Job, error: GatewayError) -> None:
        log.info("submit will be tried again", job_id=job.id, reason=error.reason, error=error.message)
        text = f"{error.reason}: {error.message}"
        await self._ledger.change(job.id, lambda now: Step(replace(now, last_error=text)))


def _started(job: Job) -> Step:
    # From here on nobody knows whether a machine is rented; it also counts as one that runs.
    called = replace(job, resource_state=ResourceState.UNKNOWN, message="")
    return Step(called, "submit_started", "the platform is called")


def _repeated(job: Job) -> Step:
    return Step(_started(job).job, twins.REPEATED, "the platform is called again, for it knows of no earlier call")


def _refused(job: Job, message: str) -> Step:
    return Step(replace(job, resource_state=ResourceState.NONE), "submit_refused", message)


def _leaves_nothing(error: GatewayError, safety: SubmitSafety, *, attempted: bool) -> bool:
    """Whether it is certain behind a failed call that the platform has no job of the token."""
    if error.reason in AMBIGUOUS and not error.is_unsent:
        return False
    if not attempted:
        return True
    # An earlier call may have arrived: a platform without a free machine may have given the last one to it.
    if safety is SubmitSafety.KEYED:
        return error.reason is Reason.INVALID_CONFIG
    return not error.is_transient


def _ambiguous_message(job: Job, why: str) -> str:
    return (
        f"the platform's answer to the submission was lost, and whether the job started cannot be found out: {why}; "
        f"look on the platform for {job.submission_token}, end it there if it runs, and submit again"
    )
