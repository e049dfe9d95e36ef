"""A second machine of one job: made by a call whose answer was lost, on a platform whose lists showed it too late."""

from __future__ import annotations

from dataclasses import replace

from gateway.jobs.model import Job
from gateway.jobs.states import Step
from gateway.platform import Platform
from gateway.plugins.model import SubmitSafety

LOOK_AFTER_SECONDS = (30.0, 120.0, 600.0)
"""When it is looked for behind the acceptance of a job that was submitted again: lists lag by minutes at most."""

REPEATED = "submit_repeated"
"""Kind of the event that says that a platform did not know of a call and was called again."""

FOUND = "twin_found"
"""Kind of the event that tells of a second machine; a job has at most one."""

_LIST = "list_jobs"


async def find_twin(platform: Platform, job: Job) -> str:
    """Return the platform's id of another job under the token of this one; empty = none is seen.

    Raises:
        GatewayError: The platform cannot be asked.
    """
    said = await platform.describe()
    if _LIST in said.capabilities:
        listed = [
            one.platform_job_id
            for one in await platform.list_jobs()
            if one.submission_token == job.submission_token
            and not (one.seen.state is not None and one.seen.state.is_terminal)
        ]
    elif said.submit_safety is SubmitSafety.FINDABLE:
        listed = [await platform.find(job.submission_token)]
    else:
        return ""
    return next((found for found in listed if found not in ("", job.platform_job_id)), "")


def told(job: Job, twin: str) -> Step:
    """Show in a job that its platform started it twice."""
    words = (
        f"the platform started it twice: {twin} is the same job, which nobody follows and somebody may pay for; "
        f"`peftstudio jobs orphans --end {twin}` ends it, or do so there"
    )
    return Step(replace(job, message=words), FOUND, words)
