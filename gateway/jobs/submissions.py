"""Jobs that clients wish for: checked, stored once for each request id, and handed to who attends them."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
    Violation,
)
from gateway.ids import new_id
from gateway.jobs.ledger import Ledger
from gateway.jobs.model import Job, JobConfig, JobLimits
from gateway.jobs.order import Orders
from gateway.jobs.states import Step
from gateway.jobs.tokens import token_of
from gateway.jobs.tracker import Tracker
from gateway.platform import Platforms
from gateway.plugins.model import Description
from gateway.priority import asked_by_user

DRY_RUN = "dry_run"
"""Capability of a connector that can check a job without starting it."""

Answer = TypeVar("Answer")

_sorted_json = json.JSONEncoder(sort_keys=True).encode


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
        return hashlib.sha256(_sorted_json(parts).encode()).hexdigest()


class Submissions:
    """Take on jobs."""

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
        self._ledger = ledger
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
        is_checked_here = not dry_run and await self._is_checked_here(wish)
        if not is_checked_here and (earlier := await self._earlier(wish)):
            return earlier, True
        try:
            with asked_by_user():
                job, said = await self._checked(wish)
        except GatewayError:
            # What was accepted once is so for ever.
            if is_checked_here and (earlier := await self._earlier(wish)):
                return earlier, True
            raise
        if dry_run:
            return replace(job, id=""), False
        try:
            return await self._take_on(job, self._tracker.begun(job, said)), False
        except IntegrityError:
            # Another call with the same request id came before.
            if earlier := await self._earlier(wish):
                return earlier, True
            raise

    async def check(self, wish: Wish) -> Job:
        """Check a wish as far as it can be without storing or starting anything, and return the job it would be.

        Raises:
            InvalidRequest: with all violations at once.
        """
        return (await self._checked(wish))[0]

    async def _earlier(self, wish: Wish) -> Job | None:
        """Return the job that was made of the same wish before.

        Raises:
            RequestIdReused: It is a job of another wish.

        """
        job = await self._ledger.by_request_id(wish.request_id) if wish.request_id else None
        return None if job is None else _replay(job, wish)

    async def _is_checked_here(self, wish: Wish) -> bool:
        """Whether nobody has to be asked to check a wish.

        Then it need not be known beforehand whether its request id was used: the ledger refuses it a second time.
        """
        if wish.resource_id:
            return False
        try:
            connection = await self._find_connection(wish.connection_id)
            said = (await self._platforms.platform(connection.id)).described
        except GatewayError:
            return False
        return said is not None and DRY_RUN not in said.capabilities

    async def _take_on(self, job: Job, begun: Step | None) -> Job:
        # Both or neither: a job that is stored and not attended would wait for the gateway's next start.
        try:
            stored = await self._ledger.add(job, begun)
        except LedgerUnavailable as error:
            if error.is_in_doubt:
                self._tracker.attend_if_stored(job)
            raise
        except asyncio.CancelledError:
            # Whoever asked has hung up; what was stored meanwhile, perhaps without our knowing, is a job like others.
            if self._ledger.is_open(job.id):
                self._tracker.attend(job, is_begun=begun is not None)
            else:
                self._tracker.attend_if_stored(job)
            raise
        self._tracker.attend(stored, is_begun=begun is not None)
        return stored

    def _draft(self, wish: Wish, connection: Connection) -> Job:
        now = self._clock.now()
        job_id = new_id("job", now)
        return Job(
            id=job_id,
            connection_id=connection.id,
            connector_id=connection.connector_id,
            config=wish.config,
            submission_token=token_of(self._ledger.identity, job_id),
            request_id=wish.request_id,
            request_hash=wish.digest,
            resource_id=wish.resource_id,
            limits=wish.limits,
            labels=wish.labels,
            created_at=now,
            updated_at=now,
        )

    async def _checked(self, wish: Wish) -> tuple[Job, Description]:
        """Return the job of a wish with its price; raises all violations at once, whoever finds them."""
        job = self._draft(wish, await self._find_connection(wish.connection_id))
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
        return job if price is None else replace(job, price=price), description

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
