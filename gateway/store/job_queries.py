"""Questions about jobs that cost the same however many jobs there are.

A page takes the ids out of an index that has them in their order, as many as it needs, and reads those jobs. With a
label, that is the label's index, of which jobs in other states are passed over; else it is asked for each state by
itself, because an index gives the jobs of one state in their order, and those of several it does not.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Select, exists, select, union_all

from gateway.jobs.model import JobFilter, JobState
from gateway.store.schema import job_labels, jobs

Ids = Select[tuple[str]]


def page(job_filter: JobFilter, after: str, size: int, *, ascending: bool) -> Select[tuple[object, ...]]:
    """Ask for up to `size` jobs behind the job with id `after`, in the order of their submission."""

    def cut(ids: Ids, column: ColumnElement[str]) -> Ids:
        if after:
            ids = ids.where(column > after if ascending else column < after)
        return ids.order_by(column if ascending else column.desc()).limit(size)

    states, places = _states(job_filter), _places(job_filter)
    if job_filter.labels:
        is_wanted = exists().where(jobs.c.id == job_labels.c.job_id, *places, *states)
        parts = [cut(_labelled(job_filter).where(is_wanted), job_labels.c.job_id)]
    elif states or places:
        wanted = sorted(job_filter.states or JobState)
        parts = [cut(select(jobs.c.id).where(jobs.c.state == state.value, *places), jobs.c.id) for state in wanted]
    else:
        parts = [cut(select(jobs.c.id), jobs.c.id)]
    ids = union_all(*(select(part.subquery()) for part in parts)).scalar_subquery()
    return select(jobs).where(jobs.c.id.in_(ids)).order_by(jobs.c.id if ascending else jobs.c.id.desc()).limit(size)


def changed_since(number: int, job_filter: JobFilter) -> Select[tuple[object, ...]]:
    """Ask for the jobs that changed behind a point of history, in the order of their last change."""
    query = select(jobs).where(jobs.c.change > number, *_places(job_filter), *_states(job_filter))
    if job_filter.labels:
        query = query.where(jobs.c.id.in_(_labelled(job_filter)))
    return query.order_by(jobs.c.change)


def _states(job_filter: JobFilter) -> list[ColumnElement[bool]]:
    return [jobs.c.state.in_(sorted(state.value for state in job_filter.states))] if job_filter.states else []


def _places(job_filter: JobFilter) -> list[ColumnElement[bool]]:
    wanted = {
        jobs.c.id: job_filter.job_id,
        jobs.c.connection_id: job_filter.connection_id,
        jobs.c.connector_id: job_filter.connector_id,
    }
    return [column == value for column, value in wanted.items() if value]


def _labelled(job_filter: JobFilter) -> Ids:
    """Ask for the ids of the jobs with all labels."""
    (key, value), *others = sorted(job_filter.labels.items())
    query = select(job_labels.c.job_id).where(job_labels.c.key == key, job_labels.c.value == value)
    for other_key, other_value in others:
        other = job_labels.alias()
        query = query.where(
            exists().where(
                other.c.key == other_key, other.c.value == other_value, other.c.job_id == job_labels.c.job_id
            )
        )
    return query
