"""Jobs that a run submits, and looks at until they end."""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass

from connector_sdk.conformance.check import FailedCheck, SkippedCheck
from connector_sdk.conformance.trial import Trial
from connector_sdk.conformance.wire import Wire
from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.job.v1 import job_state_pb2 as states
from peftstudio.job.v1.training_config_pb2 import TrainingConfig

JOB_SECONDS = 60.0  # what a short job may take
CANCEL_SECONDS = 15.0
LOOK_SECONDS = 0.1
ENDED = frozenset({states.JOB_STATE_SUCCEEDED, states.JOB_STATE_FAILED, states.JOB_STATE_CANCELLED})
SUBMIT_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job at the platform."""

    id: str
    token: str
    connection: str

    def status(self) -> pb.GetJobStatusRequest:
        """Give the request that looks at it."""
        return pb.GetJobStatusRequest(connection_id=self.connection, platform_job_id=self.id)

    def log(self, cursor: str = "", after_line: int = 0) -> pb.StreamLogsRequest:
        """Give the request that reads its log."""
        return pb.StreamLogsRequest(
            connection_id=self.connection, platform_job_id=self.id, cursor=cursor, after_line=after_line
        )

    def cancel(self) -> pb.CancelJobRequest:
        """Give the request that ends it."""
        return pb.CancelJobRequest(connection_id=self.connection, platform_job_id=self.id)


def new_token() -> str:
    """Make a submission token as gateways do: `peft-<ledger>-<job>`, 30 characters."""
    return f"peft-conform-{secrets.token_hex(8)}x"


def submission(connection: str, token: str, config: TrainingConfig, *, dry_run: bool = False) -> pb.SubmitJobRequest:
    """Give the request that submits a job."""
    return pb.SubmitJobRequest(
        connection_id=connection,
        job_id=f"job-{token[-8:]}",
        submission_token=token,
        config=config,
        labels={"purpose": "conformance"},
        dry_run=dry_run,
    )


async def submitted(trial: Trial) -> Job:
    """Submit the short job, once for all checks."""
    return await trial.facts.get("a job", lambda: _submit_short(trial))


async def ended(trial: Trial) -> Job:
    """Give the short job once it has ended."""
    return await trial.facts.get("a job that ended", lambda: _end_short(trial))


async def running(trial: Trial) -> Job:
    """Give the long job, which runs until it is cancelled, once it is RUNNING."""
    return await trial.facts.get("a job that runs", lambda: _submit_long(trial))


async def look(wire: Wire, job: Job) -> states.JobObservation:
    """Look at a job."""
    return (await wire.ask(job.status(), pb.GetJobStatusResponse)).observation


async def until_ended(wire: Wire, job: Job, seconds: float) -> states.JobObservation:
    """Look at a job until it has ended, or time is over."""
    deadline = time.monotonic() + seconds
    while (seen := await look(wire, job)).state not in ENDED and time.monotonic() < deadline:  # noqa: ASYNC110 - polled
        await asyncio.sleep(LOOK_SECONDS)
    return seen


async def cancel_all(trial: Trial) -> None:
    """Cancel every job of the run, so that no machine stays rented."""
    wire, connection = await trial.wire(), await trial.connection()
    for job_id, token in trial.jobs.items():
        job = Job(id=job_id, token=token, connection=connection)
        with suppress(FailedCheck):
            if (await look(wire, job)).state not in ENDED:
                await wire.ask(job.cancel(), pb.CancelJobResponse)


async def _submit_short(trial: Trial) -> Job:
    jobs = trial.options.jobs
    return await _submit(trial, jobs.short, is_given=jobs.is_given)


async def _submit(trial: Trial, config: TrainingConfig, *, is_given: bool) -> Job:
    connection, wire = await trial.connection(), await trial.wire()
    if not trial.options.jobs.is_wanted:
        raise SkippedCheck("--no-jobs: nothing is submitted")
    token = new_token()
    request = submission(connection, token, config)
    answers, refusal = await wire.attempt(request, pb.SubmitJobResponse, seconds=SUBMIT_SECONDS)
    if refusal is not None:
        if not is_given and refusal.reason == "INVALID_CONFIG":
            raise SkippedCheck(f"the default job cannot be submitted here: give --job-file ({refusal})")
        raise FailedCheck(str(refusal))
    job = Job(id=answers[0].platform_job_id, token=token, connection=connection)
    trial.jobs[job.id] = token
    return job


async def _end_short(trial: Trial) -> Job:
    job, wire = await submitted(trial), await trial.wire()
    seen = await until_ended(wire, job, JOB_SECONDS)
    if seen.state not in ENDED:
        raise SkippedCheck(f"the job did not end within {JOB_SECONDS:g} s: give a shorter one in --job-file")
    return job


async def _submit_long(trial: Trial) -> Job:
    long = trial.options.jobs.long
    if long is None:
        raise SkippedCheck("needs a job that runs until it is cancelled: give one as `long` in --job-file")
    await trial.capable_of("cancel_job")
    job, wire = await _submit(trial, long, is_given=True), await trial.wire()
    deadline = time.monotonic() + JOB_SECONDS
    while (seen := await look(wire, job)).state != states.JOB_STATE_RUNNING:
        if seen.state in ENDED or time.monotonic() > deadline:
            word = states.JobState.Name(seen.state)
            raise SkippedCheck(f"the long job is {word}, and should run until it is cancelled")
        await asyncio.sleep(LOOK_SECONDS)
    return job
