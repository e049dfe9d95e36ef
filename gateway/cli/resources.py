"""`peftstudio resources`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from gateway.cli import printing
from gateway.cli.options import ConnectionRef, Json, examples
from gateway.cli.running import run

if TYPE_CHECKING:
    from gateway.client import Client
    from peftstudio.job.v1.resource_pb2 import Resource


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=examples("peftstudio resources local"))(resources)


def resources(context: typer.Context, connection: ConnectionRef, as_json: Json = False) -> None:
    """List the machines of a connection."""

    async def action(client: Client) -> None:
        if as_json:
            await printing.print_json_array(client.catalog.resources(connection))
            return

        columns = ["MACHINE", "NAME", "ACCELERATOR", "CORES", "MEMORY", "REGION", "AVAILABLE"]
        rows = [
            [
                one.id,
                one.name if one.name != one.id else "",
                accelerator(one),
                str(one.cpu_cores or ""),
                f"{one.ram_gb:g} GB" if one.ram_gb else "",
                one.region,
                "yes" if one.available else "no",
            ]
            async for one in client.catalog.resources(connection)
        ]
        printing.print_table(columns, rows, empty=f"{connection} offers no machines")

    run(context, action)


def accelerator(one: Resource) -> str:
    """Say what makes a machine fast."""
    if not one.gpu_count:
        return "none"

    memory = f", {one.vram_gb:g} GB each" if one.vram_gb else ""
    return f"{one.gpu_count} x {one.gpu_type or 'GPU'}{memory}"
