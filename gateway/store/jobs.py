"""Jobs, their events and their metrics, in the ledger."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Executable, Row, Select, bindparam, func, insert, select, union, update

from gateway.jobs.model import TERMINAL, Job, JobEvent, JobFilter, JobState, Metric
from gateway.store import job_queries, job_rows
from gateway.store.database import Database
from gateway.store.engine import AsyncConnection
from gateway.store.schema import job_events, job_labels, jobs, ledger_identity, metrics

IDENTITY_BYTES = 4
"""Enough that two gateways at one account differ, and short: it is part of every submission token."""

_INSERT_JOBS = insert(jobs)
_INSERT_LABELS = insert(job_labels)
_INSERT_EVENTS = insert(job_events)
_BY_REQUEST_IDS = select(jobs).where(jobs.c.request_id.in_(bindparam(_IDS := "request_ids", expanding=True)))
_UPDATE_JOBS = update(jobs).where(jobs.c.id == bindparam(_WHICH := "which_job"))
MOST_PARAMETERS = 500
"""In one query; databases have limits, the lowest is 999."""

Known = Callable[[str, int], Job | None]
"""Return a job with this id and revision, if there is one at hand."""

_OPEN = [state.value for state in JobState if state not in TERMINAL]


@dataclass(frozen=True, slots=True)
class Change:
    """A job as it now is, and where in the gateway's history it became so."""

    job: Job
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A change to keep, with the events that say why."""

    change: Change
    events: tuple[JobEvent, ...]
    is_new: bool
    """Whether the ledger does not have the job yet."""


class JobStore:
    """Keep jobs. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def last_change(self) -> int:
        """Return the number of the last change in the gateway's history; 0 = none."""
        async with self._database.read() as connection:
            return await connection.scalar(select(func.max(jobs.c.change))) or 0

    async def identity(self) -> str:
        """Return what tells this ledger from every other one; made with its first start, and kept in backups."""
        async with self._database.write() as connection:
            known = await connection.scalar(select(ledger_identity.c.id))
            if known is None:
                known = secrets.token_hex(IDENTITY_BYTES)
                await connection.execute(insert(ledger_identity).values(id=known))
            return str(known)

    async def keep(self, records: Sequence[Record]) -> None:
        """Keep changes of different jobs, all or none."""
        new = [record.change for record in records if record.is_new]
        changed = [record.change for record in records if not record.is_new]
        rows: list[tuple[Executable, list[dict[str, job_rows.Cell]]]] = [
            (_INSERT_JOBS, [job_rows.values(change.job, change.number) for change in new]),
            (_INSERT_LABELS, [row for change in new for row in job_rows.label_values(change.job)]),
            (_UPDATE_JOBS, [_changed_values(change) for change in changed]),
            (_INSERT_EVENTS, [job_rows.event_values(event) for record in records for event in record.events]),
        ]
        await self._database.apply([(statement, values) for statement, values in rows if values])

    async def close_log(self, job_id: str, last_seq: int) -> None:
        """Keep that a job's log is at its end."""
        async with self._database.write() as connection:
            row = {"is_log_open": 0, "last_log_seq": last_seq}
            await connection.execute(update(jobs).where(jobs.c.id == job_id).values(row))

    async def get(self, job_id: str) -> Job | None:
        """Return one job."""
        return await self._one(select(jobs).where(jobs.c.id == job_id))

    async def get_many(self, job_ids: Sequence[str]) -> list[Job]:
        """Return those of some jobs that there are, in any order."""
        found: list[Job] = []
        async with self._database.read() as connection:
            for start in range(0, len(job_ids), MOST_PARAMETERS):
                part = job_ids[start : start + MOST_PARAMETERS]
                rows = await connection.execute(select(jobs).where(jobs.c.id.in_(part)))
                found += [job_rows.job(row) for row in rows]
        return found

    async def settled(self, job_id: str) -> Job | None:
        """Return one job once no earlier write can still arrive: over the connection that writes."""
        async with self._database.write() as connection:
            row = (await connection.execute(select(jobs).where(jobs.c.id == job_id))).first()
            return None if row is None else job_rows.job(row)

    async def by_request_ids(self, request_ids: Sequence[str]) -> list[Job]:
        """Return the jobs that were submitted under some request ids."""
        rows = await self._database.rows(_BY_REQUEST_IDS, {_IDS: request_ids})
        return [job_rows.job(row) for row in rows]

    async def by_token(self, submission_token: str) -> Job | None:
        """Return the job that was submitted under a token."""
        return await self._one(select(jobs).where(jobs.c.submission_token == submission_token))

    async def used_connections(self) -> list[str]:
        """Return the connections that ever had a job."""
        async with self._database.read() as connection:
            return [str(row.connection_id) for row in await connection.execute(select(jobs.c.connection_id).distinct())]

    async def open_jobs(self) -> list[Job]:
        """Return all jobs that have not ended, or whose log has not."""
        open_ids = union(
            select(jobs.c.id).where(jobs.c.state.in_(_OPEN)), select(jobs.c.id).where(jobs.c.is_log_open == 1)
        )
        async with self._database.read() as connection:
            rows = await connection.execute(select(jobs).where(jobs.c.id.in_(open_ids)).order_by(jobs.c.id))
            return [job_rows.job(row) for row in rows]

    async def changed_since(self, number: int, job_filter: JobFilter, limit: int) -> list[Change]:
        """Return up to so many jobs that changed behind a point of history, in the order of their last change."""
        query = job_queries.changed_since(number, job_filter).limit(limit)
        async with self._database.read() as connection:
            rows = await connection.execute(query)
            return [Change(job_rows.job(row), row.change) for row in rows]

    async def page(
        self, job_filter: JobFilter, after: str, size: int, *, ascending: bool, known: Known = lambda *_: None
    ) -> list[Job]:
        """Return up to `size` jobs behind the job with id `after`, in the order of their submission.

        Those that are `known` in the revision that is stored are not read anew.
        """
        query = job_queries.page(job_filter, after, size, ascending=ascending)
        async with self._database.read() as connection:
            rows = await connection.execute(query)
            return [known(row.id, row.revision) or job_rows.job(row) for row in rows]

    async def events(self, job_id: str, after_seq: int, limit: int) -> list[JobEvent]:
        """Return events of a job behind one of them, oldest first."""
        query = select(job_events).where(job_events.c.job_id == job_id, job_events.c.seq > after_seq)
        async with self._database.read() as connection:
            rows = await connection.execute(query.order_by(job_events.c.seq).limit(limit))
            return [job_rows.event(row) for row in rows]

    async def last_event(self, job_id: str, kinds: Collection[str]) -> JobEvent | None:
        """Return a job's newest event of these kinds."""
        query = select(job_events).where(job_events.c.job_id == job_id, job_events.c.kind.in_(kinds))
        async with self._database.read() as connection:
            row = (await connection.execute(query.order_by(job_events.c.seq.desc()).limit(1))).first()
            return None if row is None else job_rows.event(row)

    async def last_event_seq(self, job_id: str) -> int:
        """Return the number of a job's last event; 0 = none."""
        async with self._database.read() as connection:
            query = select(func.max(job_events.c.seq)).where(job_events.c.job_id == job_id)
            return await connection.scalar(query) or 0

    async def add_metrics(self, job_id: str, points: Sequence[Metric]) -> None:
        """Keep metric points; one that is there already is replaced."""
        if not points:
            return
        statement = self._database.upsert(metrics)
        changed = {name: statement.excluded[name] for name in ("epoch", "value", "time")}
        statement = statement.on_conflict_do_update(index_elements=list(metrics.primary_key), set_=changed)
        async with self._database.write() as connection:
            first = await _last_place(connection, job_id) + 1
            rows = [job_rows.metric_values(job_id, point, place) for place, point in enumerate(points, first)]
            await connection.execute(statement, rows)

    async def metric_counts(self, job_id: str, names: Sequence[str], from_step: int) -> dict[str, int]:
        """Return how many points there are of each name."""
        query = _measured(select(metrics.c.name, func.count().label("points")), job_id, names, from_step)
        async with self._database.read() as connection:
            rows = await connection.execute(query.group_by(metrics.c.name))
            return {row.name: row.points for row in rows}

    async def metric_stream(self, job_id: str, names: Sequence[str], from_step: int) -> AsyncIterator[Metric]:
        """Yield metric points, by name, step and attempt, without holding all of them in memory."""
        query = _measured(select(metrics), job_id, names, from_step)
        query = query.order_by(metrics.c.name, metrics.c.step, metrics.c.attempt)
        async with self._database.read() as connection, connection.stream(query) as rows:
            async for row in rows:
                yield job_rows.metric(row)

    async def metrics_behind(
        self, job_id: str, names: Sequence[str], place: int, limit: int
    ) -> tuple[list[Metric], int]:
        """Return points in the order in which they came, from behind a place on (0 = the first), and the next place."""
        query = select(metrics).where(metrics.c.job_id == job_id, metrics.c.place > place)
        if names:
            query = query.where(metrics.c.name.in_(names))
        async with self._database.read() as connection:
            rows = (await connection.execute(query.order_by(metrics.c.place).limit(limit))).all()
        return [job_rows.metric(row) for row in rows], int(rows[-1].place) if rows else place

    async def _one(self, query: Select[tuple[object, ...]]) -> Job | None:
        async with self._database.read() as connection:
            row: Row[tuple[object, ...]] | None = (await connection.execute(query)).first()
            return None if row is None else job_rows.job(row)


def _changed_values(change: Change) -> dict[str, job_rows.Cell]:
    return {_WHICH: change.job.id, **job_rows.changing_values(change.job, change.number)}


async def _last_place(connection: AsyncConnection, job_id: str) -> int:
    return await connection.scalar(select(func.max(metrics.c.place)).where(metrics.c.job_id == job_id)) or 0


def _measured(
    query: Select[tuple[object, ...]], job_id: str, names: Sequence[str], from_step: int
) -> Select[tuple[object, ...]]:
    query = query.where(metrics.c.job_id == job_id, metrics.c.step >= from_step)
    return query.where(metrics.c.name.in_(names)) if names else query
