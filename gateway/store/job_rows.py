"""Rows of the job tables, to and from what they mean."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from functools import lru_cache

from sqlalchemy import Row

from gateway.catalog.model import Price, PriceSource, PriceUnit
from gateway.jobs.model import (
    Hold,
    Job,
    JobConfig,
    JobEvent,
    JobLimits,
    JobReason,
    JobState,
    Metric,
    Progress,
    ResourceState,
)
from gateway.store.columns import micros, micros_or_none, moment, moment_or_none

Cell = str | int | float | None

_sorted_json = json.JSONEncoder(sort_keys=True).encode

MAX_NAME_CHARS = 100
"""Of a metric's name; platforms may send any."""


def values(job: Job, change: int) -> dict[str, Cell]:
    """Turn a job into a row."""
    return {
        "id": job.id,
        "connection_id": job.connection_id,
        "connector_id": job.connector_id,
        "config": _config_text(job.config),
        "submission_token": job.submission_token,
        "request_id": job.request_id or None,
        "request_hash": job.request_hash,
        "resource_id": job.resource_id,
        "limits": _limits_text(job.limits),
        "labels": _sorted_json(dict(job.labels)),
        "created_at": micros(job.created_at),
        **changing_values(job, change),
    }


def changing_values(job: Job, change: int) -> dict[str, Cell]:
    """Turn what can change of a job into a row: databases would write index entries of the rest anew each time."""
    return {
        "state": job.state.value,
        "reason": job.reason.value,
        "message": job.message,
        "raw_state": job.raw_state,
        "platform_job_id": job.platform_job_id,
        "attempt": job.attempt,
        "revision": job.revision,
        "change": change,
        "progress": None if job.progress is None else json.dumps(asdict(job.progress)),
        "exit_code": job.exit_code,
        "resource_state": job.resource_state.value,
        "price": _price_text(job.price),
        "updated_at": micros(job.updated_at),
        "started_at": micros_or_none(job.started_at),
        "ended_at": micros_or_none(job.ended_at),
        "observed_at": micros_or_none(job.observed_at),
        "last_error": job.last_error,
        "last_log_seq": job.last_log_seq,
        "is_log_open": int(job.is_log_open),
        "metrics_cursor": job.metrics_cursor,
        "holds": _holds_text(job.holds) if job.holds else "[]",
        "tokens": job.tokens,
    }


def label_values(job: Job) -> list[dict[str, Cell]]:
    """Turn the labels of a job into rows to find it by."""
    return [{"key": key, "value": value, "job_id": job.id} for key, value in job.labels.items()]


def job(row: Row[tuple[object, ...]]) -> Job:
    """Turn a row into a job."""
    return Job(
        id=row.id,
        connection_id=row.connection_id,
        connector_id=row.connector_id,
        config=JobConfig(**json.loads(row.config)),
        submission_token=row.submission_token,
        request_id=row.request_id or "",
        request_hash=row.request_hash,
        resource_id=row.resource_id,
        limits=_limits(row.limits),
        labels=json.loads(row.labels),
        state=JobState(row.state),
        reason=JobReason(row.reason),
        message=row.message,
        raw_state=row.raw_state,
        platform_job_id=row.platform_job_id,
        attempt=row.attempt,
        revision=row.revision,
        progress=None if row.progress is None else Progress(**json.loads(row.progress)),
        exit_code=row.exit_code,
        resource_state=ResourceState(row.resource_state),
        price=_price(row.price),
        created_at=moment(row.created_at),
        updated_at=moment(row.updated_at),
        started_at=moment_or_none(row.started_at),
        ended_at=moment_or_none(row.ended_at),
        observed_at=moment_or_none(row.observed_at),
        last_error=row.last_error,
        last_log_seq=row.last_log_seq,
        is_log_open=bool(row.is_log_open),
        metrics_cursor=row.metrics_cursor,
        holds=tuple(Hold(start=moment(start), end=moment_or_none(end)) for start, end in json.loads(row.holds)),
        tokens=row.tokens,
    )


def event_values(event: JobEvent) -> dict[str, Cell]:
    """Turn an event into a row."""
    return {
        "job_id": event.job_id,
        "seq": event.seq,
        "time": micros(event.time),
        "kind": event.kind,
        "state": event.state.value,
        "message": event.message,
    }


def event(row: Row[tuple[object, ...]]) -> JobEvent:
    """Turn a row into an event."""
    return JobEvent(
        job_id=row.job_id,
        seq=row.seq,
        time=moment(row.time),
        kind=row.kind,
        state=JobState(row.state),
        message=row.message,
    )


def metric_values(job_id: str, point: Metric, place: int) -> dict[str, Cell]:
    """Turn a metric point into a row."""
    return {
        "job_id": job_id,
        "name": point.name[:MAX_NAME_CHARS],
        "attempt": point.attempt,
        "step": point.step,
        "epoch": point.epoch,
        "value": repr(point.value),
        "time": micros(point.time),
        "place": place,
    }


def metric(row: Row[tuple[object, ...]]) -> Metric:
    """Turn a row into a metric point."""
    return Metric(
        name=row.name,
        attempt=row.attempt,
        step=row.step,
        epoch=row.epoch,
        value=float(row.value),
        time=moment(row.time),
    )


def _config_text(config: JobConfig) -> str:
    return json.dumps(
        {
            "base_model": config.base_model,
            "dataset_uri": config.dataset_uri,
            "algorithm": config.algorithm,
            "document": config.document,
        }
    )


def _holds_text(holds: Sequence[Hold]) -> str:
    return json.dumps([[micros(hold.start), micros_or_none(hold.end)] for hold in holds])


@lru_cache(32)
def _limits_text(limits: JobLimits) -> str:
    seconds = None if limits.max_duration is None else limits.max_duration.total_seconds()
    return json.dumps(
        {
            "max_cost_micros": limits.max_cost_micros,
            "max_duration": seconds,
            "max_price_micros_per_hour": limits.max_price_micros_per_hour,
        }
    )


def _limits(text: str) -> JobLimits:
    fields = json.loads(text)
    seconds = fields.pop("max_duration")
    return JobLimits(**fields, max_duration=None if seconds is None else timedelta(seconds=seconds))


def _price_text(price: Price | None) -> str | None:
    return None if price is None else json.dumps({**asdict(price), "as_of": micros(price.as_of)})


def _price(text: str | None) -> Price | None:
    if text is None:
        return None
    fields = json.loads(text)
    return Price(
        **{
            **fields,
            "as_of": moment(fields["as_of"]),
            "unit": PriceUnit(fields["unit"]),
            "source": PriceSource(fields["source"]),
        }
    )
