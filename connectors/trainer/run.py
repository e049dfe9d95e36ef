"""One run of a job, from the spec to the exit status."""

from __future__ import annotations

import os
import sys
import time
import traceback
from pathlib import Path
from typing import NoReturn

from connectors.trainer.errors import Interrupted, TrainerError, foreseeable
from connectors.trainer.exit_codes import ExitCode
from connectors.trainer.interruption import Interruption, say
from connectors.trainer.preflight import check_job, is_complete
from connectors.trainer.quiet import prepare_environment
from connectors.trainer.records import RecordWriter
from connectors.trainer.spec import JobSpec, load_spec

_USAGE = "usage: python -m connectors.trainer SPEC.json"


def main(arguments: list[str]) -> ExitCode:
    """Run the job whose spec file is named on the command line."""
    prepare_environment()
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print(_USAGE, file=sys.stderr)
        return ExitCode.OK if arguments in (["-h"], ["--help"]) else ExitCode.CONFIG_REJECTED
    try:
        spec = load_spec(Path(arguments[0]))
        records = RecordWriter(spec.records_path, spec.attempt)
    except (TrainerError, OSError) as error:
        known = foreseeable(error, Path(arguments[0]).parent)
        print(f"error: {known or error}", file=sys.stderr)
        return known.exit_code if known else ExitCode.IO_ERROR
    return run_job(spec, records)


def run_job(spec: JobSpec, records: RecordWriter) -> ExitCode:
    """Run a job and record how it ended."""

    def leave() -> NoReturn:
        message = "stopped before the training began; nothing to keep"
        records.result("interrupted", ExitCode.INTERRUPTED, message)
        say(message)
        os._exit(ExitCode.INTERRUPTED)

    interruption = Interruption(leave)
    interruption.listen()
    try:
        return _train(spec, records, interruption)
    except Interrupted:
        message = "stopped by a signal; the checkpoint holds what was done"
        print(message, flush=True)
        records.result("interrupted", ExitCode.INTERRUPTED, message)
        return ExitCode.INTERRUPTED
    except Exception as error:  # the outermost frame: whatever happened must be recorded
        return _failed(error, spec, records)


def _train(spec: JobSpec, records: RecordWriter, interruption: Interruption) -> ExitCode:
    started = time.monotonic()
    check_job(spec)
    if is_complete(spec.output_dir):
        message, step = "the artifacts are already there", None
    else:
        from connectors.trainer.training import train  # imports torch, so only now

        step = train(spec, records, interruption)
        message = f"finished after step {step} in {time.monotonic() - started:.1f} s"
    print(f"{message}: {spec.output_dir}", flush=True)
    records.result("succeeded", ExitCode.OK, message, step)
    return ExitCode.OK


def _failed(error: Exception, spec: JobSpec, records: RecordWriter) -> ExitCode:
    known = foreseeable(error, spec.work_dir)
    if known is None:
        traceback.print_exception(error)
        cause = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        message, exit_code = f"unexpected {cause} (the traceback is on stderr)", ExitCode.INTERNAL_ERROR
    else:
        message, exit_code = str(known), known.exit_code
    print(f"error: {message}", file=sys.stderr, flush=True)
    try:
        records.result("failed", exit_code, message)
    except OSError:
        print("error: the result could not be recorded either", file=sys.stderr)
    return exit_code
