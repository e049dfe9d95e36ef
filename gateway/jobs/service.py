"""What clients can do with jobs."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeVar

from sqlalchemy.exc import IntegrityError

from gateway.catalog.estimate import micros_per_hour
from gateway.catalog.model import Price
from gateway.clock import Clock
from gateway.connections.model import Connection
from gateway.errors import (
    GatewayError,
    InvalidRequest,
    LedgerUnavailable,
    Reason,
    RequestIdReused,
    Unsupported,
    Violation,
)
from gateway.ids import new_id
from gateway.jobs import states
from gateway.jobs.attendant import carry_out
from gateway.jobs.ledger import Ledger
from gateway.jobs.model import Job, JobConfig, JobFilter, JobLimits, JobReason, JobState
from gateway.jobs.order import Orders
from gateway.jobs.states import Step
from gateway.jobs.tokens import token_of
from gateway.jobs.tracker import Tracker
from gateway.platform import Platforms
from gateway.plugins.model import Description
from gateway.priority import asked_by_user
from gateway.store.jobs import Change
from gateway.unbroken import unbroken

DRY_RUN = "dry_run"
"""Capability of a connector that can check a job without starting it."""

CANCEL = "cancel_job"
"""Capability of a connector that can end a job early."""

LOOK_SECONDS = 10.0
"""How long a user waits for a look at a job."""

DESCRIBE_SECONDS = 2.0
"""How long a cancel waits to hear whether the connector can do it; one that runs answers at once."""

CANCEL_SECONDS = 10.0
"""How long a cancel waits for the platform; the job's attendant asks on."""

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A job that a client wants."""

    connection_id: str
    config: JobConfig
    request_id: str = ""
    resource_id: str = ""
    limits: JobLimits = field(default_factory=JobLimits)
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Hash of all that makes this wish different from another."""
        parts = [
            self.connection_id,
            self.config.document,
            self.resource_id,
            self.limits.max_cost_micros,
            str(self.limits.max_duration),
            self.limits.max_price_micros_per_hour,
            dict(self.labels),
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Jobs:
    """Submit jobs, look at them, and say what shall become of them."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        tracker: Tracker,
        platforms: Platforms,
        clock: Clock,
        find_connection: Callable[[str], Awaitable[Connection]],
        find_price: Callable[[str, str], Awaitable[Price]],
        orders: Orders,
    ) -> None:
        self.ledger = ledger
        self._tracker = tracker
        self._platforms = platforms
        self._clock = clock
        self._find_connection = find_connection
        self._find_price = find_price
        self._orders = orders

    async def submit(self, wish: Wish, *, dry_run: bool) -> tuple[Job, bool]:
        """Check and store a job; it is handed to its platform behind this call.

        Returns:
            The job, and whether its request id had been used before and it is that job.

        Raises:
            InvalidRequest: with all violations at once.
            RequestIdReused: The request id was used for something else.

        """
        if wish.request_id and (job := await self.ledger.by_request_id(wish.request_id)):
            return _replay(job, wish), True
        with asked_by_user():
            job = await self.check(wish)
        if dry_run:
            return replace(job, id=""), False
        try:
            await unbroken(self._take_on(job))
        except IntegrityError:
            # Another call with the same request id was faster.
            if winner := await self.ledger.by_request_id(wish.request_id):
                return _replay(winner, wish), True
            raise
        return job, False

    async def check(self, wish: Wish) -> Job:
        """Check a wish as far as it can be without storing or starting anything, and return the job it would be.

        Raises:
            InvalidRequest: with all violations at once.
        """
        connection = await self._find_connection(wish.connection_id)
        return await self._check(self._draft(wish, connection))

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

    async def _take_on(self, job: Job) -> None:
        # Both or neither: a job that is stored and not attended would wait for the gateway's next start.
        try:
            await self.ledger.add(job)
        except LedgerUnavailable as error:
            if error.is_in_doubt:
                self._tracker.attend_if_stored(job)
            raise
        self._tracker.attend(job)

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

    def _draft(self, wish: Wish, connection: Connection) -> Job:
        now = self._clock.now()
        job_id = new_id("job", now)
        return Job(
            id=job_id,
            connection_id=connection.id,
            connector_id=connection.connector_id,
            config=wish.config,
            submission_token=token_of(self.ledger.identity, job_id),
            request_id=wish.request_id,
            request_hash=wish.digest,
            resource_id=wish.resource_id,
            limits=wish.limits,
            labels=wish.labels,
            created_at=now,
            updated_at=now,
        )

    async def _check(self, job: Job) -> Job:
        """Return the job with its price; raises all violations at once, whoever finds them."""
        platform = await self._platforms.platform(job.connection_id)
        description = await platform.describe()
        order, of_data = await _tried(self._orders.make(job))
        price, of_price = await _tried(self._price(job))
        found = [*_algorithm_violations(job, description), *of_data, *of_price]
        if DRY_RUN in description.capabilities:
            _, of_platform = await _tried(platform.check(order or self._orders.unstaged(job)))
            known_fields = {violation.field for violation in found}
            found += [violation for violation in of_platform if violation.field not in known_fields]
        if found:
            raise InvalidRequest(found)
        return replace(job, price=price)

    async def _price(self, job: Job) -> Price | None:
        if not job.resource_id:
            if job.limits.max_cost_micros or job.limits.max_price_micros_per_hour:
                # A limit that nobody can keep must not look as if it were kept.
                text = "is missing, and without it no price is known to keep the limits of money; name a machine"
                raise InvalidRequest.of("resource_id", text)
            return None
        try:
            price = await self._find_price(job.connection_id, job.resource_id)
        except GatewayError as error:
            if error.reason is not Reason.NOT_FOUND:
                raise
            text = f"{job.resource_id!r} is no machine of this connection; `peftstudio resources` lists those"
            raise InvalidRequest.of("resource_id", text) from error
        most = job.limits.max_price_micros_per_hour
        if most and not price.not_priced:
            _check_price(job.resource_id, price, most)
        return price


async def _tried(part: Awaitable[Answer]) -> tuple[Answer | None, Sequence[Violation]]:
    """Do a part of a check, and take the violations that it finds for all to be told together."""
    try:
        return await part, ()
    except GatewayError as error:
        if not error.violations:
            raise
        return None, error.violations


def _algorithm_violations(job: Job, description: Description) -> list[Violation]:
    if not description.algorithms or job.config.algorithm in description.algorithms:
        return []
    known = ", ".join(description.algorithms)
    text = f"{job.config.algorithm!r} is not offered by connector {job.connector_id!r}; choose one of: {known}"
    return [Violation("config.algorithm", text)]


def _check_price(resource_id: str, price: Price, most: int) -> None:
    hour = micros_per_hour(price)
    if hour is None:
        text = f"{resource_id} is not charged by time, so that no price per hour can be kept; leave it out"
        raise InvalidRequest.of("limits.max_price_micros_per_hour", text)
    if hour > most:
        text = f"{resource_id} costs {hour / 1e6:.2f} {price.currency} per hour, more than the limit"
        raise InvalidRequest.of("limits.max_price_micros_per_hour", f"{text} of {most / 1e6:.2f}")


def _replay(job: Job, wish: Wish) -> Job:
    if job.request_hash != wish.digest:
        text = f"request id {wish.request_id!r} was used for job {job.id}, which is another one; make a new id"
        raise RequestIdReused(text, metadata={"job_id": job.id})
    return job
