"""Ledgers with as many ended jobs as are wanted, written in one go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import insert

from gateway.jobs.model import Job, JobConfig, JobEvent, JobReason, JobState
from gateway.store import job_rows
from gateway.store.database import Database
from gateway.store.schema import job_events, job_labels, jobs

BATCH_JOBS = 5000
START = datetime(2026, 1, 1, tzinfo=UTC)
RARE = 50
"""One job of so many fails."""

_DOCUMENT = '{"base_model":"org/model","dataset_path":"upload://0f3a","rank":16,"learning_rate":0.0002}'


def ended_job(number: int) -> Job:
    """Make a job like many others; ids grow with their numbers."""
    at = START + timedelta(seconds=number)
    failed = number % RARE == RARE - 1
    return Job(
        id=f"job-{number:016}",
        connection_id=f"conn-{number % 2}",
        connector_id="lab",
        config=JobConfig(base_model="org/model", dataset_uri="upload://0f3a", algorithm="lora", document=_DOCUMENT),
        submission_token=f"peft-{number}",
        labels={"team": f"team-{number % 10}"},
        state=JobState.FAILED if failed else JobState.SUCCEEDED,
        reason=JobReason.EXIT_NONZERO if failed else JobReason.OK,
        platform_job_id=f"remote-{number}",
        created_at=at,
        updated_at=at,
        ended_at=at,
        is_log_open=False,
    )


async def fill(database: Database, count: int) -> None:
    """Put ended jobs, with an event each, into an empty ledger."""
    for first in range(0, count, BATCH_JOBS):
        batch = [ended_job(number) for number in range(first, min(count, first + BATCH_JOBS))]
        async with database.write() as connection:
            rows = [job_rows.values(job, number) for number, job in enumerate(batch, first + 1)]
            await connection.execute(insert(jobs), rows)
            await connection.execute(insert(job_labels), [row for job in batch for row in job_rows.label_values(job)])
            await connection.execute(insert(job_events), [job_rows.event_values(_event(job)) for job in batch])


def _event(job: Job) -> JobEvent:
    return JobEvent(job_id=job.id, seq=1, time=job.created_at, kind="submitted", state=job.state, message="accepted")
