"""`peftstudio datasets`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import printing, words
from gateway.cli.options import Json, examples
from gateway.cli.running import run
from gateway.cli.transfer_bar import transfer_bar

if TYPE_CHECKING:
    from gateway.client import Client


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Training data at the gateway.", no_args_is_help=True)
    group.command("list", epilog=examples("peftstudio datasets list"))(list_datasets)
    group.command("upload", epilog=examples("peftstudio datasets upload data.jsonl"))(upload)
    group.command("delete", epilog=examples("peftstudio datasets delete upload://0f3a…"))(delete)
    app.add_typer(group, name="datasets")


def list_datasets(context: typer.Context, as_json: Json = False) -> None:
    """List uploaded datasets, newest first."""

    async def action(client: Client) -> None:
        if as_json:
            await printing.print_json_array(client.artifacts.datasets())
            return

        rows = [
            [one.uri, one.name, words.size(one.size), words.age(one.created_at)]
            async for one in client.artifacts.datasets()
        ]
        printing.print_table(["DATASET", "NAME", "SIZE", "UPLOADED"], rows, empty="no datasets")

    run(context, action)


def upload(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="File with training data.")],
    as_json: Json = False,
) -> None:
    """Upload training data and print its name for `dataset_path`."""

    async def action(client: Client) -> None:
        with transfer_bar("uploading") as on_progress:
            uri = await client.artifacts.upload_dataset(file, on_progress=on_progress)

        printing.print_line(json.dumps({"uri": uri}) if as_json else uri)

    run(context, action)


def delete(
    context: typer.Context,
    dataset: Annotated[str, typer.Argument(help="Name of the dataset: upload://…")],
) -> None:
    """Delete a dataset; refused while a job that has not ended uses it."""

    async def action(client: Client) -> None:
        await client.artifacts.delete_dataset(dataset)
        printing.stderr().print(f"{dataset} is deleted")

    run(context, action)
