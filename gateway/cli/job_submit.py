"""`peftstudio jobs submit`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import printing
from gateway.cli.dataset_source import uploaded
from gateway.cli.exit_codes import ExitCode
from gateway.cli.job_file import Order, limits_message, parse_settings, read_order
from gateway.cli.job_list import parse_labels, show
from gateway.cli.job_logs import follow_log
from gateway.cli.job_verbs import leave_as
from gateway.cli.options import Json, examples
from gateway.cli.running import CommandError, detaching, reporting, run

if TYPE_CHECKING:
    from gateway.client import Client
    from peftstudio.gateway.v1.jobs_service_pb2 import Job, JobLimits
    from peftstudio.job.v1.training_config_pb2 import TrainingConfig

Text = str | None
Number = float | None
Whole = int | None

_CONFIG_FLAGS = {
    "model": "base_model",
    "dataset": "dataset_path",
    "algorithm": "algorithm",
    "rank": "rank",
    "alpha": "alpha",
    "learning_rate": "learning_rate",
    "batch_size": "batch_size",
    "epochs": "num_epochs",
    "max_steps": "max_steps",
    "quantization": "quantization",
    "seed": "seed",
}
"""Flags for the fields that people change most; `--set` reaches all of them."""
_LIMIT_FLAGS = ("max_cost", "max_duration", "max_price_per_hour")


def add_to(jobs: typer.Typer) -> None:
    """Add the command."""
    jobs.command(
        epilog=examples(
            "peftstudio jobs submit -c local -m org/model -d data.jsonl --rank 16 --follow",
            "peftstudio jobs submit -f job.yaml --set lr_scheduler=cosine --set options.gpus=2",
            "peftstudio jobs submit -f job.yaml --dry-run",
        )
    )(submit)


def submit(
    context: typer.Context,
    file: Annotated[Path | None, typer.Option("-f", "--file", help="YAML file; flags win over it.")] = None,
    connection: Annotated[str, typer.Option("-c", "--connection", help="Where to train.")] = "",
    model: Annotated[Text, typer.Option("-m", "--model", help="Base model.")] = None,
    dataset: Annotated[Text, typer.Option("-d", "--dataset", help="File (is uploaded) or URI.")] = None,
    algorithm: Annotated[Text, typer.Option(help="lora, rslora, dora, pissa, qlora, …")] = None,
    rank: Annotated[Whole, typer.Option(help="Rank of the adapter.")] = None,
    alpha: Annotated[Number, typer.Option(help="Scaling of the adapter.")] = None,
    learning_rate: Annotated[Number, typer.Option("--learning-rate", "--lr", help="Peak learning rate.")] = None,
    batch_size: Annotated[Whole, typer.Option(help="Examples per device and step.")] = None,
    epochs: Annotated[Number, typer.Option(help="Passes over the data.")] = None,
    max_steps: Annotated[Whole, typer.Option(help="Optimizer steps at most.")] = None,
    quantization: Annotated[Text, typer.Option(help="int8, int4 or nf4.")] = None,
    seed: Annotated[Whole, typer.Option(help="Seed of every random choice.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any other field.")] = None,
    resource: Annotated[str, typer.Option("-r", "--resource", help="Machine; else the platform chooses.")] = "",
    label: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="Label; can be repeated.")] = None,
    max_cost: Annotated[Number, typer.Option(help="Cancel at this cost, in the price's currency.")] = None,
    max_duration: Annotated[Text, typer.Option(metavar="TIME", help="Cancel after so long, e.g. 2h.")] = None,
    max_price_per_hour: Annotated[Number, typer.Option(help="Refuse machines that cost more.")] = None,
    request_id: Annotated[Text, typer.Option(help="Repeating a command with the same id is safe.")] = None,
    no_upload: Annotated[bool, typer.Option("--no-upload", help="Pass the dataset's path on as it is.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, start nothing.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end; the exit code tells how.")] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Show the log until the end, as --wait.")] = False,
    as_json: Json = False,
) -> None:
    """Submit a training job."""
    # What can be said without the gateway is said before anything is sent.
    with reporting():
        request = _Request.of(_order(context.params), request_id)

    async def action(client: Client) -> None:
        job = await request.send(client, upload=not no_upload, dry_run=dry_run)
        await _after(client, job, dry_run=dry_run, wait=wait, follow=follow, as_json=as_json)

    run(context, action)


@dataclass(frozen=True, slots=True)
class _Request:
    """An order in the gateway's words."""

    order: Order
    request_id: str | None
    config: TrainingConfig
    limits: JobLimits

    @classmethod
    def of(cls, order: Order, request_id: str | None) -> _Request:
        from gateway.client import training_config

        return cls(order, request_id, training_config(order.config), limits_message(order.limits))

    async def send(self, client: Client, *, upload: bool, dry_run: bool) -> Job:
        if upload:
            self.config.dataset_path = await uploaded(client, self.config.dataset_path, self.order.folder)

        return await client.jobs.submit(
            self.order.connection,
            self.config,
            resource_id=self.order.resource_id,
            limits=self.limits,
            labels=self.order.labels,
            request_id=self.request_id,
            dry_run=dry_run,
        )


def _order(flags: Mapping[str, object]) -> Order:
    file = flags["file"]
    from_file = read_order(file) if isinstance(file, Path) else Order()
    config = {field: flags[name] for name, field in _CONFIG_FLAGS.items() if flags[name] is not None}
    labels, settings = flags["label"], flags["set_"]
    from_flags = Order(
        connection=str(flags["connection"]),
        resource_id=str(flags["resource"]),
        labels=parse_labels(list(labels) if isinstance(labels, list | tuple) else []),
        limits={name: flags[name] for name in _LIMIT_FLAGS if flags[name] is not None},
        config={**parse_settings(list(settings) if isinstance(settings, list | tuple) else []), **config},
    )
    order = from_file.merged(from_flags)
    if not order.connection:
        raise CommandError("where to train? pass --connection, or write it into the file", ExitCode.USAGE)

    return order


async def _after(client: Client, job: Job, *, dry_run: bool, wait: bool, follow: bool, as_json: bool) -> None:
    if dry_run or not (wait or follow):
        await show(client, job, as_json=as_json)
        if dry_run:
            printing.stderr().print("all is well; nothing was started")
        elif not as_json:
            printing.stderr().print(f"follow it: peftstudio jobs logs {job.id} -f", style="dim")

        return

    async with detaching(job.id):
        if follow:
            printing.stderr().print(f"job {job.id}", style="dim")
            await follow_log(client, job.id, as_json=as_json)

        ended = await client.jobs.wait(job.id)

    await show(client, ended, as_json=as_json)
    leave_as(ended)
