"""`peftstudio artifacts`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from gateway.cli import printing, words
from gateway.cli.json_text import read_object
from gateway.cli.options import JobRef, Json, examples
from gateway.cli.references import find_job
from gateway.cli.running import CommandError, run
from gateway.cli.transfer_bar import transfer_bar

if TYPE_CHECKING:
    from gateway.client import Client
    from peftstudio.job.v1.artifact_pb2 import Artifact


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Files that jobs left, and files for platforms.", no_args_is_help=True)
    group.command("list", epilog=examples("peftstudio artifacts list job-1m8"))(list_artifacts)
    group.command(
        "get",
        epilog=examples("peftstudio artifacts get job-1m8 --out ./adapter", "peftstudio artifacts get job-1m8 --all"),
    )(get)
    group.command(
        "put", epilog=examples('peftstudio artifacts put adapter.safetensors -c hub --metadata \'{"repo": "me/it"}\'')
    )(put)
    app.add_typer(group, name="artifacts")


def list_artifacts(context: typer.Context, job: JobRef, as_json: Json = False) -> None:
    """List the files that a job left."""

    async def action(client: Client) -> None:
        files = client.artifacts.list((await find_job(client, job)).id)
        if as_json:
            await printing.print_json_array(files)
            return

        rows: list[list[printing.Cell]] = [
            [
                one.path,
                _kind(one),
                words.size(one.size) if one.HasField("size") else "",
                _state(one),
                one.sha256[:12],
            ]
            async for one in files
        ]
        printing.print_table(["FILE", "KIND", "SIZE", "STATE", "SHA-256"], rows, empty="the job left no files yet")

    run(context, action)


def get(
    context: typer.Context,
    job: JobRef,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder; the job's id where none is given.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All files, not only the adapter's.")] = False,
    as_json: Json = False,
) -> None:
    """Download a job's adapter, verified; an earlier try is continued."""

    async def action(client: Client) -> None:
        from peftstudio.job.v1.artifact_pb2 import ARTIFACT_KIND_ADAPTER

        found = await find_job(client, job)
        folder = out or Path(found.id)
        kinds = () if everything else (ARTIFACT_KIND_ADAPTER,)
        with transfer_bar("fetching") as on_progress:
            paths = await client.artifacts.download(found.id, folder, kinds=kinds, on_progress=on_progress)

        if not paths:
            raise CommandError(f"job {found.id} has no such files; see: peftstudio artifacts list {found.id}")

        if as_json:
            printing.print_line(json.dumps([str(path) for path in paths], indent=2))
        else:
            _say(paths)

    run(context, action)


def put(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="File to send.")],
    connection: Annotated[str, typer.Option("-c", "--connection", help="Platform to send it to.")],
    metadata: Annotated[str, typer.Option(metavar="JSON", help="What its registry should know.")] = "{}",
    as_json: Json = False,
) -> None:
    """Put a file into a platform's registry; continued after a cut."""

    async def action(client: Client) -> None:
        details = read_object(metadata, "--metadata")
        with transfer_bar("sending") as on_progress:
            uri = await client.artifacts.upload(file, connection, details, on_progress=on_progress)

        printing.print_line(json.dumps({"uri": uri}) if as_json else uri)

    run(context, action)


def _say(paths: Sequence[Path]) -> None:
    for path in paths:
        printing.print_line(str(path))

    files = "1 file" if len(paths) == 1 else f"{len(paths)} files"
    printing.stderr().print(f"{files}, {words.size(sum(path.stat().st_size for path in paths))}, all verified")


def _kind(one: Artifact) -> str:
    from peftstudio.job.v1.artifact_pb2 import ArtifactKind

    return words.word(ArtifactKind.Name(one.kind), "ARTIFACT_KIND_") if one.kind in ArtifactKind.values() else ""


def _state(one: Artifact) -> Text:
    from peftstudio.job.v1.artifact_pb2 import ArtifactState

    known = one.state in ArtifactState.values()
    state = words.coloured(words.word(ArtifactState.Name(one.state), "ARTIFACT_STATE_") if known else str(one.state))
    return state + Text(" unsafe", style="red") if one.unsafe else state
