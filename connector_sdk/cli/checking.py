"""The command `check`."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

from connector_sdk._start import StartError
from connector_sdk.conformance.options import Address, Options, read_credentials, read_jobs
from connector_sdk.conformance.reports.as_json import as_json
from connector_sdk.conformance.reports.junit import as_junit
from connector_sdk.conformance.reports.text import Printed, summary
from connector_sdk.conformance.result import Outcome, Result
from connector_sdk.conformance.runner import chosen, run
from connector_sdk.conformance.target import allowed_environment, resolve

DESCRIPTION = """Check a connector against the contract, over the wire. A target is a connector.toml, a Python file or
module with a connector's class, or a program with its arguments. Options come before it. Without --no-jobs, a job is
submitted: with credentials of a platform that charges, that costs what such a job costs."""


def add_check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to a program's."""
    checking = commands.add_parser("check", help="check a connector against the contract", description=DESCRIPTION)
    checking.add_argument("target", nargs=argparse.REMAINDER, metavar="TARGET ...")
    checking.add_argument("--address", metavar="HOST:PORT", help="check what listens there, and launch nothing")
    checking.add_argument("--token-file", type=Path, metavar="FILE", help="secret of the connector at that address")
    checking.add_argument("--ca", type=Path, metavar="PEM", help="who signed its certificate")
    checking.add_argument("--credentials-file", type=Path, metavar="FILE", help="what to connect with, in JSON")
    checking.add_argument("--job-file", type=Path, metavar="FILE", help="what to submit, in JSON")
    checking.add_argument("--no-jobs", action="store_true", help="submit and upload nothing")
    checking.add_argument("--env", action="append", default=[], metavar="NAME", help="variable that it may see")
    checking.add_argument("--chaos", action="store_true", help="kill and freeze it, too")
    checking.add_argument("--only", action="append", default=[], metavar="ID", help="only this check or group")
    checking.add_argument("--json", type=Path, metavar="FILE", help="write the report there as JSON")
    checking.add_argument("--junit", type=Path, metavar="FILE", help="write the report there as JUnit XML")
    checking.add_argument("--quiet", action="store_true", help="print only what did not pass")
    checking.add_argument("--list", action="store_true", help="list the checks, and check nothing")


def check(given: argparse.Namespace) -> bool:
    """Check what the command line names, and tell whether it conforms."""
    options = _options(given)
    if given.list:
        for one in chosen(options):
            sys.stdout.write(f"{one.id:<28}{one.sentence}\n")
        return True
    if not chosen(options):
        raise StartError(f"There is no check {', '.join(options.only)}: see `check --list`.")
    report = asyncio.run(run(options, _printer(is_quiet=given.quiet)))
    for path, text in ((given.json, as_json(report)), (given.junit, as_junit(report))):
        if path is not None:
            path.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{summary(report)}\n")
    return report.is_good


def _printer(*, is_quiet: bool) -> Callable[[Result], None]:
    printed = Printed()

    def tell(result: Result) -> None:
        if not (is_quiet and result.outcome in (Outcome.PASSED, Outcome.SKIPPED)):
            sys.stdout.write(f"{printed.line(result)}\n")
            sys.stdout.flush()

    return tell


def _options(given: argparse.Namespace) -> Options:
    command, declared = _command(given)
    return Options(
        command=command,
        address=_address(given),
        environment=allowed_environment(os.environ, (*declared, *given.env)),
        credentials=read_credentials(given.credentials_file),
        jobs=read_jobs(given.job_file, is_wanted=not given.no_jobs),
        has_chaos=given.chaos,
        only=given.only,
    )


def _command(given: argparse.Namespace) -> tuple[tuple[str, ...], tuple[str, ...]]:
    target = [part for part in given.target if part != "--"] if given.target[:1] == ["--"] else given.target
    if given.list:
        return (), ()
    if bool(target) == (given.address is not None):
        raise StartError("Name a connector to launch, or the --address of one that runs.")
    return resolve(target) if target else ((), ())


def _address(given: argparse.Namespace) -> Address | None:
    if given.address is None:
        return None
    if given.token_file is None:
        raise StartError("--address needs --token-file: the secret that the connector and its gateways have in common.")
    return Address(address=given.address, token_file=given.token_file, ca=given.ca)
