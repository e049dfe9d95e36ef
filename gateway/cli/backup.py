"""`peftstudio backup` and `peftstudio restore`."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import printing, words
from gateway.cli.exit_codes import ExitCode
from gateway.cli.options import examples
from gateway.cli.running import fail
from gateway.cli.serve import LEDGER_VARIABLE

DataDir = Annotated[
    Path | None, typer.Option(envvar="PEFTSTUDIO_DATA_DIR", help="Data folder of the gateway on this machine.")
]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog=examples("peftstudio backup /backups/monday.tar"))(backup)
    app.command(epilog=examples("peftstudio restore /backups/monday.tar --data-dir /var/lib/peftstudio"))(restore)


def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Tar file to write; it appears when it is whole.")],
    data_dir: DataDir = None,
    with_artifacts: Annotated[
        bool, typer.Option("--with-artifacts", help="Also the copies of jobs' files that platforms have as well.")
    ] = False,
    without_ledger: Annotated[
        bool,
        typer.Option("--without-ledger", help=f"The ledger is on a server; {LEDGER_VARIABLE} says so as well."),
    ] = False,
) -> None:
    """Back up all that cannot be had again, also while the gateway runs. Keep the file like a password."""
    from gateway.backup.write import back_up

    is_here = not (without_ledger or os.environ.get(LEDGER_VARIABLE))
    with _reporting():
        made = back_up(_folder(context, data_dir), file, with_artifacts=with_artifacts, with_ledger=is_here)
    say = printing.stderr().print
    say(f"{made.files} files, {words.size(made.size)}, are in {file}")
    if not made.has_ledger:
        say("the ledger is not in it: it is on a server; `pg_dump` backs it up, best just before this command")
    if not made.has_key:
        say("the key of the credentials is not in it: keep PEFTSTUDIO_KEY as well")


def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="What `peftstudio backup` wrote.")],
    data_dir: DataDir = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Put a data folder aside that has something in it.")
    ] = False,
) -> None:
    """Make a data folder of a backup; it is verified first, and in place whole or not at all."""
    from gateway.backup.restore import restore as make

    folder = _folder(context, data_dir)
    with _reporting():
        old = make(file, folder, replace=replace)
    say = printing.stderr().print
    say(f"{folder} is as it was backed up; `peftstudio serve --data-dir {folder}` goes on with it")
    if old is not None:
        say(f"what was there is in {old}")


def _folder(context: typer.Context, data_dir: Path | None) -> Path:
    from gateway.config import default_data_dir

    chosen: Path = data_dir or context.obj.data_dir or default_data_dir()
    return chosen.expanduser().absolute()


@contextmanager
def _reporting() -> Iterator[None]:
    from gateway.errors import GatewayError, NotFound, WrongState

    try:
        yield
    except WrongState as error:
        fail(error.message, ExitCode.REFUSED, error)
    except NotFound as error:
        fail(error.message, ExitCode.NOT_FOUND, error)
    except (GatewayError, OSError, sqlite3.Error) as error:
        fail(str(error), ExitCode.ERROR, error)
