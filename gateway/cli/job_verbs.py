"""`peftstudio jobs cancel`, `pause`, `resume` and `wait`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.durations import parse_duration
from gateway.cli.exit_codes import ExitCode
from gateway.cli.job_list import show
from gateway.cli.options import JobRef, Json, examples
from gateway.cli.references import find_job
from gateway.cli.running import detaching, run

if TYPE_CHECKING:
    from gateway.client import Client
    from peftstudio.gateway.v1.jobs_service_pb2 import Job


def add_to(jobs: typer.Typer) -> None:
    """Add the commands."""
    jobs.command("cancel", epilog=examples("peftstudio jobs cancel job-1m8"))(cancel)
    jobs.command("pause", epilog=examples("peftstudio jobs pause job-1m8"))(pause)
    jobs.command("resume", epilog=examples("peftstudio jobs resume job-1m8"))(resume)
    jobs.command("wait", epilog=examples("peftstudio jobs wait job-1m8 --timeout 2h"))(wait)


def cancel(context: typer.Context, job: JobRef, as_json: Json = False) -> None:
    """End a job; cancelling an ended job is no error."""

    async def action(client: Client) -> None:
        await show(client, await client.jobs.cancel((await find_job(client, job)).id), as_json=as_json)

    run(context, action)


def pause(context: typer.Context, job: JobRef, as_json: Json = False) -> None:
    """Pause a job behind a checkpoint."""

    async def action(client: Client) -> None:
        await show(client, await client.jobs.pause((await find_job(client, job)).id), as_json=as_json)

    run(context, action)


def resume(context: typer.Context, job: JobRef, as_json: Json = False) -> None:
    """Let a paused job go on."""

    async def action(client: Client) -> None:
        await show(client, await client.jobs.resume((await find_job(client, job)).id), as_json=as_json)

    run(context, action)


def wait(
    context: typer.Context,
    job: JobRef,
    timeout: Annotated[str | None, typer.Option(metavar="TIME", help="Give up after so long, e.g. 90s or 2h.")] = None,
    as_json: Json = False,
) -> None:
    """Wait until a job has ended; the exit code tells how."""

    async def action(client: Client) -> None:
        limit = parse_duration(timeout) if timeout else None
        found = await find_job(client, job)
        async with detaching(found.id):
            ended = await client.jobs.wait(found.id, limit)

        await show(client, ended, as_json=as_json)
        leave_as(ended)

    run(context, action)


def leave_as(job: Job) -> None:
    """Leave with the exit code that says how the job ended, unless it ended well."""
    from peftstudio.job.v1.job_state_pb2 import JOB_STATE_CANCELLED, JOB_STATE_FAILED

    if job.state == JOB_STATE_FAILED:
        raise typer.Exit(ExitCode.JOB_FAILED)

    if job.state == JOB_STATE_CANCELLED:
        raise typer.Exit(ExitCode.JOB_CANCELLED)
