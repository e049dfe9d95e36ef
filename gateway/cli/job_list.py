"""`peftstudio jobs list`, `get` and `events`."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import printing, words
from gateway.cli.exit_codes import ExitCode
from gateway.cli.options import JobRef, Json, examples
from gateway.cli.references import connection_names, find_job
from gateway.cli.running import CommandError, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.client import Client
    from peftstudio.gateway.v1.jobs_service_pb2 import Job, JobFilter


def add_to(jobs: typer.Typer) -> None:
    """Add the commands."""
    jobs.command(
        "list", epilog=examples("peftstudio jobs list", "peftstudio jobs list --state running --label team=a")
    )(list_jobs)
    jobs.command("get", epilog=examples("peftstudio jobs get job-1m8", "peftstudio jobs get job-1m8 --json"))(get)
    jobs.command("events", epilog=examples("peftstudio jobs events job-1m8"))(events)


def list_jobs(
    context: typer.Context,
    connection: Annotated[str, typer.Option(help="Only those of this connection.")] = "",
    connector: Annotated[str, typer.Option(help="Only those of this connector.")] = "",
    state: Annotated[list[str] | None, typer.Option(help="Only those in this state; can be repeated.")] = None,
    label: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="Only those with this label.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    ascending: Annotated[bool, typer.Option("--ascending", help="Oldest first instead of newest first.")] = False,
    as_json: Json = False,
) -> None:
    """List jobs, newest first."""

    async def action(client: Client) -> None:
        job_filter = _filter(connection, connector, state or [], parse_labels(label or []))
        jobs = _first(client, job_filter, limit, ascending=ascending)
        if as_json:
            await printing.print_json_array(jobs)
            return

        names = await connection_names(client)
        columns = ["JOB", "STATE", "CONNECTION", "MODEL", "PROGRESS", "COST", "SUBMITTED"]
        rows: list[list[printing.Cell]] = [
            [
                job.id,
                words.coloured(words.job_state(job)),
                names.get(job.connection_id, job.connection_id),
                job.config.base_model,
                words.progress(job),
                words.cost(job.cost),
                words.age(job.created_at),
            ]
            async for job in jobs
        ]
        printing.print_table(columns, rows, empty="no jobs")

    run(context, action)


def get(context: typer.Context, job: JobRef, as_json: Json = False) -> None:
    """Show a job."""

    async def action(client: Client) -> None:
        await show(client, await find_job(client, job), as_json=as_json)

    run(context, action)


def events(context: typer.Context, job: JobRef, as_json: Json = False) -> None:
    """List what happened to a job, oldest first."""

    async def action(client: Client) -> None:
        found = client.jobs.events((await find_job(client, job)).id)
        if as_json:
            await printing.print_json_array(found)
            return

        rows = [[str(one.seq), words.moment(one.time), one.kind, one.message] async for one in found]
        printing.print_table(["NO.", "TIME", "EVENT", "MESSAGE"], rows, empty="nothing happened yet")

    run(context, action)


async def show(client: Client, job: Job, *, as_json: bool) -> None:
    """Print one job."""
    if as_json:
        printing.print_json(job)
        return

    names = await connection_names(client)
    connection = names.get(job.connection_id, job.connection_id)
    printing.print_details(
        [
            ("job", job.id),
            ("state", words.coloured(words.job_state(job))),
            ("message", job.message),
            ("reason", _reason(job)),
            ("progress", words.progress(job)),
            ("connection", connection),
            ("connector", job.connector_id if job.connector_id != connection else ""),
            ("machine", job.resource_id),
            ("model", job.config.base_model),
            ("dataset", job.config.dataset_path),
            ("algorithm", job.config.algorithm),
            ("labels", ", ".join(f"{key}={value}" for key, value in sorted(job.labels.items()))),
            ("cost", words.cost_in_full(job)),
            ("attempt", str(job.attempt) if job.attempt > 1 else ""),
            ("exit code", str(job.exit_code) if job.HasField("exit_code") else ""),
            ("platform's id", job.platform_job_id),
            ("submitted", words.moment(job.created_at)),
            ("started", words.moment(job.started_at)),
            ("ended", words.moment(job.ended_at)),
            ("out of date", job.last_error if job.stale else ""),
        ]
    )


def parse_labels(labels: list[str]) -> dict[str, str]:
    """Read labels as `key=value`."""
    pairs = [label.partition("=") for label in labels]
    wrong = [key for key, equals, _ in pairs if not key or not equals]
    if wrong:
        raise CommandError(f"a label is written KEY=VALUE, not {wrong[0]!r}", ExitCode.USAGE)

    return {key: value for key, _, value in pairs}


def _reason(job: Job) -> str:
    from peftstudio.job.v1.job_state_pb2 import JobReason

    if job.reason not in JobReason.values():
        return str(job.reason)

    reason = words.word(JobReason.Name(job.reason), "JOB_REASON_").replace("_", " ")
    return "" if reason == "ok" else reason


def _filter(connection: str, connector: str, states: list[str], labels: dict[str, str]) -> JobFilter:
    from peftstudio.gateway.v1.jobs_service_pb2 import JobFilter
    from peftstudio.job.v1.job_state_pb2 import JobState

    known = {words.word(name, "JOB_STATE_"): number for name, number in JobState.items()}
    unknown = [state for state in states if state.lower() not in known]
    if unknown:
        names = ", ".join(filter(None, known))
        raise CommandError(f"there is no state {unknown[0]!r}; the states are {names}", ExitCode.USAGE)

    numbers = [known[state.lower()] for state in states]
    return JobFilter(connection_id=connection, connector_id=connector, states=numbers, labels=labels)


async def _first(client: Client, job_filter: JobFilter, limit: int, *, ascending: bool) -> AsyncIterator[Job]:
    count = 0
    async with aclosing(client.jobs.list(job_filter, ascending=ascending)) as jobs:
        async for job in jobs:
            yield job
            count += 1
            if count >= limit:
                return
