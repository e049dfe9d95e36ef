"""Jobs: submitted once, found, looked at, ended."""

from __future__ import annotations

from google.rpc import error_details_pb2

from connector_sdk.conformance.check import SkippedCheck, advise, check, expect
from connector_sdk.conformance.trial import Trial
from connector_sdk.conformance.work import (
    CANCEL_SECONDS,
    ENDED,
    JOB_SECONDS,
    SUBMIT_SECONDS,
    Job,
    ended,
    look,
    new_token,
    running,
    submission,
    submitted,
    until_ended,
)
from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.job.v1 import job_state_pb2 as states
from peftstudio.job.v1.training_config_pb2 import TrainingConfig

LONGEST_MESSAGE_BYTES = 1024
MOST_PAGES = 1000
NOT_OBSERVED = frozenset({states.JOB_STATE_UNSPECIFIED, states.JOB_STATE_SUBMITTING})
"""States that are the gateway's own, and no observation."""


@check("jobs.submitted", remedy="Start the job and answer with the platform's id of it.", seconds=SUBMIT_SECONDS + 5)
async def is_submitted(trial: Trial) -> None:
    """SubmitJob starts a job and tells the platform's id of it."""
    expect(bool((await submitted(trial)).id), "platform_job_id is empty")


@check("jobs.state", remedy="Map the platform's word to a state, and give the word itself as raw_state.")
async def state(trial: Trial) -> None:
    """A look at a job tells one of the states that a platform's job can have."""
    seen = await look(await trial.wire(), await submitted(trial))
    expect(seen.state in states.JobState.values(), f"state is {seen.state}, which is none of the contract")
    expect(seen.state not in NOT_OBSERVED, f"state is {states.JobState.Name(seen.state)}")
    expect(len(seen.message.encode()) <= LONGEST_MESSAGE_BYTES, "the message has more than 1 KiB")
    advise(bool(seen.raw_state), "raw_state is empty")


@check(
    "jobs.ends",
    remedy="Tell SUCCEEDED, FAILED or CANCELLED once the platform says that the job is over.",
    seconds=JOB_SECONDS + 10,
)
async def ends(trial: Trial) -> None:
    """The job is seen to end."""
    await ended(trial)


@check("jobs.end_stays", remedy="Look the job up at the platform each time; what has ended stays ended.")
async def end_stays(trial: Trial) -> None:
    """A job that has ended keeps its state."""
    job, wire = await ended(trial), await trial.wire()
    first, second = await look(wire, job), await look(wire, job)
    expect(first.state in ENDED and first.state == second.state, f"it was {first.state}, and then {second.state}")


@check(
    "jobs.keyed",
    remedy="Give the platform the submission token as its idempotency key, or say FINDABLE or NONE.",
    seconds=SUBMIT_SECONDS + 5,
)
async def keyed(trial: Trial) -> None:
    """Where submissions are KEYED, a token that is submitted again starts no second job."""
    if (await trial.description()).submit_safety != pb.SUBMIT_SAFETY_KEYED:
        raise SkippedCheck("its submissions are not KEYED")
    job, wire = await submitted(trial), await trial.wire()
    again = submission(job.connection, job.token, trial.options.jobs.short)
    said = await wire.ask(again, pb.SubmitJobResponse, seconds=SUBMIT_SECONDS)
    trial.jobs[said.platform_job_id] = job.token
    expect(said.platform_job_id == job.id, f"the second job is {said.platform_job_id}, the first {job.id}")


@check("jobs.found", remedy="Put the submission token where the platform lets it be searched for, and search there.")
async def found(trial: Trial) -> None:
    """FindJob finds a job by its submission token."""
    await trial.capable_of("find_job")
    job = await submitted(trial)
    request = pb.FindJobRequest(connection_id=job.connection, submission_token=job.token)
    said = (await (await trial.wire()).ask(request, pb.FindJobResponse)).platform_job_id
    expect(said == job.id, f"it found {said!r}, and the job is {job.id}")


@check("jobs.not_found", remedy="Answer FindJob with an empty id where there is no such job; that is no error.")
async def not_found(trial: Trial) -> None:
    """FindJob of a token that was never submitted finds nothing."""
    await trial.capable_of("find_job")
    request = pb.FindJobRequest(connection_id=await trial.connection(), submission_token=new_token())
    said = (await (await trial.wire()).ask(request, pb.FindJobResponse)).platform_job_id
    expect(not said, f"it found {said!r}")


@check("jobs.listed", remedy="List every job that carries a token and has not ended, page by page.")
async def listed(trial: Trial) -> None:
    """ListJobs lists a job that runs, with its token, and comes to an end."""
    await trial.capable_of("list_jobs")
    job, wire = await running(trial), await trial.wire()
    cursor, tokens = "", {}
    for _ in range(MOST_PAGES):
        page = await wire.ask(pb.ListJobsRequest(connection_id=job.connection, cursor=cursor), pb.ListJobsResponse)
        tokens.update({one.platform_job_id: one.submission_token for one in page.jobs})
        cursor = page.next_cursor
        if not cursor:
            break
    expect(not cursor, f"it has more than {MOST_PAGES} pages")
    expect(tokens.get(job.id) == job.token, f"the job is listed with token {tokens.get(job.id)!r}, not {job.token!r}")


@check("jobs.batch", remedy="Answer for every id that the platform knows, as GetJobStatus would, and leave others out.")
async def batch(trial: Trial) -> None:
    """BatchGetJobStatus tells of known jobs what GetJobStatus tells, and leaves unknown ones out."""
    await trial.capable_of("batch_get_job_status")
    job, wire = await ended(trial), await trial.wire()
    request = pb.BatchGetJobStatusRequest(
        connection_id=job.connection, platform_job_ids=[job.id, "conformance-unknown"]
    )
    said = (await wire.ask(request, pb.BatchGetJobStatusResponse)).observations
    expect(set(said) == {job.id}, f"it tells of {sorted(said)}, and should of {job.id}")
    expect(said[job.id].state == (await look(wire, job)).state, "the state is another than that of GetJobStatus")


@check("jobs.dry_run", remedy="With dry_run, check everything and start nothing; platform_job_id stays empty.")
async def dry_run(trial: Trial) -> None:
    """A submission with dry_run starts nothing."""
    await trial.capable_of("dry_run")
    job, wire = await submitted(trial), await trial.wire()
    token = new_token()
    request = submission(job.connection, token, trial.options.jobs.short, dry_run=True)
    said = await wire.ask(request, pb.SubmitJobResponse)
    expect(not said.platform_job_id, f"it started {said.platform_job_id}")
    if "find_job" in (await trial.description()).capabilities:
        find = pb.FindJobRequest(connection_id=job.connection, submission_token=token)
        expect(not (await wire.ask(find, pb.FindJobResponse)).platform_job_id, "a job is found under its token")


@check(
    "jobs.refused", remedy="Refuse what cannot be trained with INVALID_CONFIG and a BadRequest that names every field."
)
async def refused(trial: Trial) -> None:
    """A configuration with several impossible values is refused, and all of them are named at once."""
    await trial.capable_of("dry_run")
    config = TrainingConfig(base_model="m", dataset_path="d", rank=0, learning_rate=-1.0)
    request = submission(await trial.connection(), new_token(), config, dry_run=True)
    refusal = await (await trial.wire()).refusal(request)
    expect(refusal is not None, "a rank of 0 was accepted")
    assert refusal
    expect(refusal.reason == "INVALID_CONFIG", str(refusal))
    told = " ".join(
        item.field for bad in refusal.details(error_details_pb2.BadRequest) for item in bad.field_violations
    )
    missing = [field for field in ("rank", "learning_rate") if field not in told]
    advise(not missing, f"{', '.join(missing)} is not named in BadRequest: it has {told or 'nothing'}")


@check("jobs.cancel_ended", remedy="Answer CancelJob of a job that has ended as if it had been cancelled.")
async def cancel_ended(trial: Trial) -> None:
    """CancelJob of a job that has ended is no error, and may be repeated."""
    await trial.capable_of("cancel_job")
    job, wire = await ended(trial), await trial.wire()
    for _ in range(2):
        await wire.ask(job.cancel(), pb.CancelJobResponse)
    await _expect_ended(trial, job)


@check(
    "jobs.cancelled",
    remedy="End the job at the platform, and tell CANCELLED once it confirms.",
    seconds=JOB_SECONDS + CANCEL_SECONDS,
)
async def cancelled(trial: Trial) -> None:
    """CancelJob ends a job that runs."""
    await trial.capable_of("cancel_job")
    job, wire = await running(trial), await trial.wire()
    await wire.ask(job.cancel(), pb.CancelJobResponse)
    seen = await until_ended(wire, job, CANCEL_SECONDS)
    word = states.JobState.Name(seen.state)
    expect(seen.state in ENDED, f"after {CANCEL_SECONDS:g} s it is {word}")
    advise(seen.state == states.JOB_STATE_CANCELLED, f"it ended as {word}, not as CANCELLED")
    trial.facts.forget("a job that runs")


async def _expect_ended(trial: Trial, job: Job) -> None:
    seen = await look(await trial.wire(), job)
    expect(seen.state in ENDED, f"it is {states.JobState.Name(seen.state)} then")
