"""The command `peftstudio`. Modules that need gRPC are imported by the commands that use it: `--help` stays fast."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import (
    artifacts,
    backup,
    connections,
    connectors,
    datasets,
    deployments,
    job_list,
    job_logs,
    job_metrics,
    job_orphans,
    job_submit,
    job_verbs,
    models,
    prices,
    resources,
    serve,
)
from gateway.cli.exit_codes import epilog_text
from gateway.cli.running import Target


def assemble() -> typer.Typer:
    """Put the commands together."""
    app = typer.Typer(
        help="Run LoRA/PEFT fine-tuning jobs on any platform through one gateway.",
        epilog=epilog_text(),
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(target)
    serve.add_to(app)
    jobs = typer.Typer(help="Submit, follow and end training jobs.", no_args_is_help=True)
    for part in (job_submit, job_list, job_verbs, job_logs, job_metrics, job_orphans):
        part.add_to(jobs)

    app.add_typer(jobs, name="jobs")
    for group in (connections, connectors, artifacts, datasets, models, deployments):
        group.add_to(app)

    backup.add_to(app)
    resources.add_to(app)
    prices.add_to(app)
    return app


def target(
    context: typer.Context,
    address: Annotated[
        str | None, typer.Option(envvar="PEFTSTUDIO_ADDRESS", help="Gateway to call, e.g. 127.0.0.1:7717.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(envvar="PEFTSTUDIO_TOKEN_FILE", help="File with the gateway's token.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(envvar="PEFTSTUDIO_DATA_DIR", help="Data folder of the gateway on this machine.")
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option(envvar="PEFTSTUDIO_CA_FILE", help="Certificate authority of a gateway with TLS.")
    ] = None,
) -> None:
    """Note which gateway the command is for."""
    context.obj = Target(address=address, token_file=token_file, data_dir=data_dir, ca_file=ca_file)


def main() -> None:
    """Run the command line."""
    assemble()()
