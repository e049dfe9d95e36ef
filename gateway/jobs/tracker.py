"""Everything that goes on by itself: an attendant for each open job, and a poller for each connection that has any."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

import structlog

from gateway.cancellation import only_own_cancellation
from gateway.errors import GatewayError, LedgerTaken, LedgerUnavailable, StorageFull
from gateway.jobs.attendant import Attendant, Surroundings
from gateway.jobs.line import Line
from gateway.jobs.model import Job, Observation
from gateway.jobs.poller import Poller
from gateway.jobs.states import Step
from gateway.plugins.model import Description
from gateway.priority import asked_by_user

AGAIN_SECONDS = 5.0
"""Pause before work that failed by a bug of ours is taken up again."""

log = structlog.get_logger(__name__)


class Tracker:
    """Own the tasks of all open jobs; when it stops, the jobs go on at their platforms."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._attendants: dict[str, Attendant] = {}
        self._pollers: dict[str, Poller] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def line(self) -> Line:
        """The jobs that wait for their turn."""
        return self._around.submitter.line

    def start(self, jobs: list[Job]) -> None:
        """Take up the jobs that an earlier gateway left."""
        for job in jobs:
            self.attend(job)
        self._spawn(self._for_ever("wishes", self._around.wishes.run))

    async def stop(self) -> None:
        """End all tasks."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def begun(self, job: Job, said: Description) -> Step | None:
        """Return the step that a new job may be stored with."""
        return self._around.submitter.begun(job, said)

    def attend(self, job: Job, *, is_begun: bool = False) -> None:
        """Attend one more job; one that `is_begun` was just stored with its first step."""
        self._attendants[job.id] = Attendant(job.id, self._around, self.poke, is_begun=is_begun)
        self._spawn(self._run_attendant(job.id))
        if job.connection_id not in self._pollers:
            self._pollers[job.connection_id] = self._poller(job.connection_id)
            self._spawn(self._for_ever("poller", self._pollers[job.connection_id].run, connection_id=job.connection_id))

    def attend_if_stored(self, job: Job) -> None:
        """Attend a job of which it is not known whether the ledger took it, as soon as that can be found out."""
        self._spawn(self._find_out(job))

    def poke(self, job: Job) -> None:
        """Look at a job soon."""
        if poller := self._pollers.get(job.connection_id):
            poller.poke(job.id)

    async def look(self, job: Job) -> None:
        """Look at a job now, and at the others of its connection, because a user waits for it."""
        if poller := self._pollers.get(job.connection_id):
            with asked_by_user():
                await poller.look(job.id)

    def wake(self, job: Job) -> None:
        """Look at a job again, because what is wanted of it has changed."""
        self._around.submitter.wake()
        self.poke(job)

    def _poller(self, connection_id: str) -> Poller:
        around = self._around
        return Poller(
            connection_id,
            ledger=around.ledger,
            platforms=around.platforms,
            clock=around.clock,
            on_ended=self._on_ended,
            on_rejected=around.note_rejected,
        )

    def _on_ended(self, job: Job, seen: Observation) -> None:
        if attendant := self._attendants.get(job.id):
            attendant.ended(seen)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _find_out(self, job: Job) -> None:
        while True:
            await asyncio.sleep(AGAIN_SECONDS)
            try:
                if await self._around.ledger.adopt(job.id):
                    self.attend(job)
                return
            except GatewayError as error:
                log.warning("submission in doubt", job_id=job.id, error=error.message)

    async def _run_attendant(self, job_id: str) -> None:
        while True:
            try:
                with only_own_cancellation(_stray):
                    await self._attendants[job_id].run()
                del self._attendants[job_id]
                return
            except Exception as error:
                # A bug of ours must not orphan a job that costs money: say so, and go on.
                _tell("attendant", error, job_id=job_id)
            await asyncio.sleep(AGAIN_SECONDS)
            self._attendants[job_id] = Attendant(job_id, self._around, self.poke)

    async def _for_ever(self, who: str, work: Callable[[], Awaitable[None]], **about: str) -> None:
        while True:
            try:
                with only_own_cancellation(_stray):
                    await work()
            except Exception as error:
                _tell(who, error, **about)
            await asyncio.sleep(AGAIN_SECONDS)


def _tell(who: str, error: Exception, **about: str) -> None:
    """Tell of a failure: with its traceback, unless the ledger cannot be used, which is no bug and has been told."""
    if _is_of_the_ledger(error):
        log.warning("work interrupted", who=who, error="the ledger cannot be used", **about)
    else:
        log.error("work failed", who=who, exc_info=error, **about)


def _is_of_the_ledger(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_of_the_ledger, error.exceptions))
    return isinstance(error, LedgerUnavailable | LedgerTaken | StorageFull)


def _stray() -> RuntimeError:
    return RuntimeError("a cancellation that nobody asked for")
