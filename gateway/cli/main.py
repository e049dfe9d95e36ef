"""The command `peftstudio`.

Only what a command line names is imported, and gRPC by the commands that use it: `--help` stays fast, and a gateway
has nothing in memory that it never uses.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from importlib import import_module
from itertools import takewhile
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import typer

from gateway.cli.exit_codes import epilog_text
from gateway.cli.running import Target

HELP = ("-h", "--help")
JOBS = "jobs"
JOB_COMMANDS = ("job_submit", "job_list", "job_verbs", "job_logs", "job_metrics", "job_orphans")
"""Modules of the commands behind `jobs`."""
COMMANDS = MappingProxyType(
    {
        "serve": "serve",
        JOBS: JOBS,
        "connections": "connections",
        "connectors": "connectors",
        "artifacts": "artifacts",
        "datasets": "datasets",
        "models": "models",
        "deployments": "deployments",
        "backup": "backup",
        "restore": "backup",
        "resources": "resources",
        "prices": "prices",
    }
)
"""The module of each command, in the order in which `--help` has them."""


def assemble(words: Collection[str] = ()) -> typer.Typer:
    """Put together the commands that are among the words of a command line; all where none is."""
    app = typer.Typer(
        help="Run LoRA/PEFT fine-tuning jobs on any platform through one gateway.",
        epilog=epilog_text(),
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": list(HELP)},
    )
    app.callback()(target)
    named = COMMANDS.keys() & words or COMMANDS.keys()
    for module in dict.fromkeys(module for command, module in COMMANDS.items() if command in named):
        if module == JOBS:
            _add_jobs_to(app)
        else:
            import_module(f"gateway.cli.{module}").add_to(app)
    return app


def _add_jobs_to(app: typer.Typer) -> None:
    jobs = typer.Typer(help="Submit, follow and end training jobs.", no_args_is_help=True)
    for module in JOB_COMMANDS:
        import_module(f"gateway.cli.{module}").add_to(jobs)
    app.add_typer(jobs, name=JOBS)


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
    # Behind a wish for help, a word is no command: `--help jobs` lists all of them.
    assemble([*takewhile(lambda word: word not in HELP, sys.argv[1:])])()
