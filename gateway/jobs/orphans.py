"""Remote jobs that carry this ledger's tokens and that nobody follows: found, told of with a price, ended by hand.

A job is one where the ledger has no row of its token (it was put back to an older state), or where the row has ended
or is of another remote job. Jobs of other gateways at the same account carry other tokens, and are left alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from gateway.catalog.estimate import micros_per_hour
from gateway.catalog.model import Price
from gateway.clock import Clock
from gateway.connections.model import Connection
from gateway.errors import GatewayError, NotFound, Reason
from gateway.jobs.ledger import Ledger
from gateway.jobs.model import Job, ListedJob, ResourceState
from gateway.jobs.tokens import is_own
from gateway.platform import Platforms

SWEEP_SECONDS = 3600.0
"""Time between two sweeps: an orphan costs money by the hour."""

FIRST_SECONDS = 15.0
"""The first sweep comes so long after the start: jobs that were under way are taken up first."""

ANSWER_SECONDS = 60.0
"""How long one platform may take for its list."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """A remote job that this gateway submitted and does not follow."""

    connection_id: str
    listed: ListedJob
    job_id: str
    """The job that it belonged to; empty = there is none."""
    why: str
    price: Price | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unasked:
    """A connection that could not be asked."""

    connection_id: str
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a sweep found."""

    orphans: tuple[Orphan, ...]
    errors: tuple[Unasked, ...]


class Orphans:
    """Sweep connections for orphans."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        platforms: Platforms,
        clock: Clock,
        connections: Callable[[], Awaitable[Sequence[Connection]]],
        find_price: Callable[[str, str], Awaitable[Price]],
    ) -> None:
        self._ledger = ledger
        self._platforms = platforms
        self._clock = clock
        self._connections = connections
        self._find_price = find_price
        self._unable: set[str] = set()
        """Connections whose connector cannot list jobs."""

    async def run(self) -> None:
        """Sweep after the start and every hour, the connections that ever had a job, and tell of what is found."""
        await asyncio.sleep(FIRST_SECONDS)
        while True:
            try:
                await self._sweep()
            except GatewayError as error:
                log.info("no sweep for orphans", reason=error.reason, error=error.message)
            except Exception:
                # A bug of ours must not end the watch over money.
                log.exception("sweep failed")
            await asyncio.sleep(SWEEP_SECONDS)

    async def _sweep(self) -> None:
        used = set(await self._ledger.used_connections()) - self._unable
        found = await self.find(sorted(used)) if used else Found((), ())
        # A connector that rests is not started every hour to say again that it cannot.
        self._unable |= {error.connection_id for error in found.errors if error.reason is Reason.UNSUPPORTED}
        for orphan in found.orphans:
            self._tell(orphan)

    async def find(self, only: Sequence[str] = ()) -> Found:
        """Ask connections for their jobs, all at once; those that cannot be asked are named with the reason."""
        chosen = [connection for connection in await self._connections() if not only or connection.id in only]
        found = await asyncio.gather(*(self._ask(connection.id) for connection in chosen))
        orphans = [orphan for one in found if not isinstance(one, Unasked) for orphan in one]
        return Found(tuple(orphans), tuple(one for one in found if isinstance(one, Unasked)))

    async def end(self, platform_job_id: str, connection_id: str = "") -> Orphan:
        """End an orphan, and return it as it was.

        Raises:
            NotFound: No connection has an orphan of this id; nothing else is ever ended.

        """
        for orphan in (await self.find([connection_id] if connection_id else ())).orphans:
            if orphan.listed.platform_job_id == platform_job_id:
                platform = await self._platforms.platform(orphan.connection_id)
                await platform.cancel(platform_job_id)
                log.warning("orphan ended", connection_id=orphan.connection_id, platform_job_id=platform_job_id)
                return orphan
        raise NotFound("orphan", platform_job_id)

    async def _ask(self, connection_id: str) -> list[Orphan] | Unasked:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                platform = await self._platforms.platform(connection_id)
                asked_at = self._clock.now()
                listed = await platform.list_jobs()
                found = [orphan for one in listed if (orphan := await self._orphan(connection_id, one, asked_at))]
        except TimeoutError:
            text = f"its list of jobs did not come within {ANSWER_SECONDS:g} s"
            return Unasked(connection_id=connection_id, reason=Reason.PLATFORM_TIMEOUT, message=text)
        except GatewayError as error:
            return Unasked(connection_id=connection_id, reason=error.reason, message=error.message)
        return sorted(found, key=_age)

    async def _orphan(self, connection_id: str, listed: ListedJob, asked_at: datetime) -> Orphan | None:
        is_over = listed.seen.state is not None and listed.seen.state.is_terminal
        # A training that has ended on a machine that is still held costs as much as one that runs.
        is_over = is_over and listed.seen.resource_state not in (ResourceState.HELD, ResourceState.RELEASE_REQUESTED)
        if is_over or not is_own(self._ledger.identity, listed.submission_token):
            return None
        job = await self._ledger.by_token(listed.submission_token)
        if job and job.state.is_terminal and job.updated_at > asked_at:
            # It ended while the list was on its way; the next one shows whether it goes on.
            return None
        why = _why(job, listed)
        if not why:
            return None
        price = listed.price or await self._price(connection_id, job, listed)
        return Orphan(connection_id=connection_id, listed=listed, job_id=job.id if job else "", why=why, price=price)

    async def _price(self, connection_id: str, job: Job | None, listed: ListedJob) -> Price | None:
        resource_id = listed.resource_id or (job.resource_id if job else "")
        if not resource_id:
            return None
        try:
            return await self._find_price(connection_id, resource_id)
        except GatewayError:
            return job.price if job else None

    def _tell(self, orphan: Orphan) -> None:
        hour = None if orphan.price is None else micros_per_hour(orphan.price)
        made = orphan.listed.created_at
        log.warning(
            "orphan",
            connection_id=orphan.connection_id,
            platform_job_id=orphan.listed.platform_job_id,
            job_id=orphan.job_id,
            why=orphan.why,
            age_seconds=None if made is None else int((self._clock.now() - made).total_seconds()),
            price_per_hour=None
            if hour is None or orphan.price is None
            else f"{hour / 1e6:.2f} {orphan.price.currency}",
            end_it=f"peftstudio jobs orphans --end {orphan.listed.platform_job_id}",
        )


def _why(job: Job | None, listed: ListedJob) -> str:
    if job is None:
        return "this gateway has no job of its token; its ledger was probably put back to an older state"
    if job.state.is_terminal:
        return f"its job has ended here as {job.state.lower()} ({job.reason.lower().replace('_', ' ')}), and it goes on"
    if job.platform_job_id and job.platform_job_id != listed.platform_job_id:
        return f"its job is another one there, {job.platform_job_id}: the platform started it twice"
    return ""


def _age(orphan: Orphan) -> tuple[bool, datetime | None, str]:
    made = orphan.listed.created_at
    return made is None, made, orphan.listed.platform_job_id
