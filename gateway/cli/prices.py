"""`peftstudio prices`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import printing, words
from gateway.cli.options import Json, examples
from gateway.cli.references import connection_names
from gateway.cli.resources import accelerator
from gateway.cli.running import run

if TYPE_CHECKING:
    from gateway.client import Client
    from peftstudio.gateway.v1.catalog_service_pb2 import Offer


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=examples("peftstudio prices", "peftstudio prices --gpu a100 --hours 6"))(prices)


def prices(
    context: typer.Context,
    gpu: Annotated[str, typer.Option(help="Model of the accelerator.")] = "",
    gpus: Annotated[int, typer.Option(min=0, help="Accelerators at least.")] = 0,
    min_vram: Annotated[float, typer.Option(metavar="GB", min=0, help="Memory of each accelerator at least.")] = 0,
    hours: Annotated[float, typer.Option(min=0, help="How long the job runs, for the estimate.")] = 1,
    connection: Annotated[list[str] | None, typer.Option("-c", help="Only these connections; can be repeated.")] = None,
    available: Annotated[bool, typer.Option("--available", help="Only machines that can be had now.")] = False,
    as_json: Json = False,
) -> None:
    """Compare the prices of machines over all connections, cheapest first."""

    async def action(client: Client) -> None:
        from peftstudio.gateway.v1.catalog_service_pb2 import Requirements

        wanted = Requirements(
            min_gpu_count=gpus,
            min_vram_gb=min_vram,
            gpu_type=gpu,
            available_only=available,
            connection_ids=connection or [],
        )
        wanted.duration.FromTimedelta(timedelta(hours=hours))
        found = await client.catalog.compare_prices(wanted)
        if as_json:
            printing.print_json(found)
            return

        names = await connection_names(client)
        printing.print_table(_columns(hours), [_row(offer, names) for offer in found.offers], empty="no machine fits")
        for error in found.errors:
            name = names.get(error.connection_id, error.connection_id)
            printing.stderr().print(f"{name} could not be asked: {error.message}", style="yellow")

    run(context, action)


def _columns(hours: float) -> list[str]:
    units = ["PRICE", "PER GPU HOUR", "PER GB HOUR", f"FOR {hours:g} H"]
    return ["CONNECTION", "MACHINE", "ACCELERATOR", *units, "AVAILABLE", "AS OF"]


def _row(offer: Offer, names: Mapping[str, str]) -> list[str]:
    currency = offer.price.currency
    per_gpu = offer.micros_per_gpu_hour if offer.HasField("micros_per_gpu_hour") else None
    per_gb = offer.micros_per_vram_gb_hour if offer.HasField("micros_per_vram_gb_hour") else None
    estimate = offer.estimate_micros if offer.HasField("estimate_micros") else None
    return [
        names.get(offer.connection_id, offer.connection_id),
        offer.resource.id,
        accelerator(offer.resource),
        words.price(offer.price),
        words.money(per_gpu, currency) if per_gpu is not None else "",
        words.money(per_gb, currency) if per_gb is not None else "",
        words.money(estimate, currency) if estimate is not None else "",
        "yes" if offer.resource.available else "no",
        words.age(offer.price.as_of),
    ]
