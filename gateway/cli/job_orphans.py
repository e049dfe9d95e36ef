"""`peftstudio jobs orphans`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import printing, words
from gateway.cli.options import Json, examples
from gateway.cli.references import connection_names
from gateway.cli.running import run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.client import Client
    from peftstudio.gateway.v1.jobs_service_pb2 import Orphan


def add_to(jobs: typer.Typer) -> None:
    """Add the command."""
    jobs.command("orphans", epilog=examples("peftstudio jobs orphans", "peftstudio jobs orphans --end m-77"))(orphans)


def orphans(
    context: typer.Context,
    connection: Annotated[str, typer.Option("-c", "--connection", help="Only those of this connection.")] = "",
    end: Annotated[str, typer.Option(metavar="ID", help="End the one that its platform calls so.")] = "",
    as_json: Json = False,
) -> None:
    """List machines that this gateway rented and does not follow, with what they cost; --end ends one."""

    async def action(client: Client) -> None:
        if end:
            await _end(client, end, connection, as_json=as_json)
            return

        found = await client.jobs.orphans(connection)
        if as_json:
            printing.print_json(found)
            return

        names = await connection_names(client)
        columns = ["PLATFORM'S ID", "CONNECTION", "MACHINE", "STATE", "AGE", "PRICE", "JOB", "WHY"]
        printing.print_table(columns, [_row(one, names) for one in found.orphans], empty="no orphans")
        for error in found.errors:
            name = names.get(error.connection_id, error.connection_id)
            printing.stderr().print(f"{name} could not be asked: {error.message}", style="yellow")

    run(context, action)


async def _end(client: Client, platform_job_id: str, connection: str, *, as_json: bool) -> None:
    ended = await client.jobs.end_orphan(platform_job_id, connection)
    if as_json:
        printing.print_json(ended)
    else:
        printing.print_line(f"the platform was told to end {ended.platform_job_id}")


def _row(orphan: Orphan, names: Mapping[str, str]) -> list[str]:
    from peftstudio.job.v1.job_state_pb2 import JobState

    known = orphan.state in JobState.values()
    return [
        orphan.platform_job_id,
        names.get(orphan.connection_id, orphan.connection_id),
        orphan.resource_id,
        words.word(JobState.Name(orphan.state), "JOB_STATE_") if known else str(orphan.state),
        words.age(orphan.created_at).removesuffix(" ago"),
        words.price(orphan.price) if orphan.HasField("price") else "",
        orphan.job_id,
        orphan.why,
    ]
