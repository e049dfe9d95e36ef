"""`peftstudio models`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import printing
from gateway.cli.options import ConnectionRef, Json, examples
from gateway.cli.running import run

if TYPE_CHECKING:
    from gateway.client import Client
    from peftstudio.job.v1.model_pb2 import Model


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Models in the registries of platforms.", no_args_is_help=True)
    group.command("search", epilog=examples("peftstudio models search hub 'tiny llama'"))(search)
    group.command("get", epilog=examples("peftstudio models get hub org/model"))(get)
    app.add_typer(group, name="models")


def search(
    context: typer.Context,
    connection: ConnectionRef,
    query: Annotated[str, typer.Argument(help="Words to look for.")],
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    as_json: Json = False,
) -> None:
    """Search the model registry of a connection, best first."""

    async def action(client: Client) -> None:
        if as_json:
            await printing.print_json_array(_first(client, connection, query, limit))
            return

        rows = [
            [one.id, one.author, str(one.downloads or ""), str(one.likes or ""), ", ".join(one.tags[:4])]
            async for one in _first(client, connection, query, limit)
        ]
        printing.print_table(["MODEL", "AUTHOR", "DOWNLOADS", "LIKES", "TAGS"], rows, empty="nothing found")

    run(context, action)


def get(
    context: typer.Context,
    connection: ConnectionRef,
    model: Annotated[str, typer.Argument(help="Id of the model.")],
    as_json: Json = False,
) -> None:
    """Show what a registry tells about a model."""

    async def action(client: Client) -> None:
        one = await client.catalog.model(connection, model)
        if as_json:
            printing.print_json(one)
            return

        pairs = [("model", one.id), ("name", one.name), ("author", one.author), ("tags", ", ".join(one.tags))]
        counts = [("downloads", str(one.downloads or "")), ("likes", str(one.likes or ""))]
        printing.print_details([*pairs, *counts, *((key, str(value)) for key, value in one.metadata.items())])

    run(context, action)


async def _first(client: Client, connection: str, query: str, limit: int) -> AsyncIterator[Model]:
    count = 0
    async with aclosing(client.catalog.search_models(connection, query)) as found:
        async for one in found:
            yield one
            count += 1
            if count >= limit:
                return
