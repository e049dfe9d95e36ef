"""Turn a copy of the template into the process that `python -m connector_sdk serve` would be.

What goes wrong is not handled: it ends the process as it would end any program.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from contextlib import suppress
from pathlib import Path

from connector_sdk._handshake import HANDSHAKE, report_failure
from connector_sdk._start import ExitCode
from connector_sdk._template import Order

DESCRIPTORS = Path("/proc/self/fd")
NAME = Path("/proc/self/comm")
SET_BY_PYTHON = "LC_CTYPE"
"""What the interpreter itself sets where there is no locale (PEP 538)."""


def become(order: Order, ends: list[int]) -> None:
    """Take on the session, the descriptors, the control group, the environment and the arguments of the order."""
    os.setsid()
    _take_descriptors(ends)
    _enter(order.entrance)
    NAME.write_text(order.name)
    _take_environment(order.environment)
    os.chdir(order.work_dir)
    _take_arguments(order.arguments)
    # Folders may have changed since the template has looked at them.
    importlib.invalidate_caches()
    gc.enable()


def _take_descriptors(ends: list[int]) -> None:
    # Those that came are 3 or more, so that only the last place may be taken, by one that is in its place by then.
    for number, end in enumerate(ends):
        os.dup2(end, number)
        os.set_inheritable(number, True)
    for name in os.listdir(DESCRIPTORS):
        if int(name) > HANDSHAKE:
            with suppress(OSError):  # the one by which they are listed
                os.close(int(name))


def _enter(entrance: str) -> None:
    if not entrance:
        return
    try:
        Path(entrance).write_text(str(os.getpid()))
    except OSError as error:
        report_failure(f"cannot enter {entrance}: {error.strerror}; remove memory_hard_bytes or mend the control group")
        sys.exit(ExitCode.CONFIGURATION)


def _take_environment(environment: dict[str, str]) -> None:
    kept = os.environ.get(SET_BY_PYTHON)
    os.environ.clear()
    os.environ.update(environment)
    if kept is not None:
        os.environ.setdefault(SET_BY_PYTHON, kept)


def _take_arguments(arguments: list[str]) -> None:
    sys.argv[1:] = arguments
    sys.orig_argv[sys.orig_argv.index("template") :] = arguments
    # `python -m` puts the working directory there.
    sys.path[0] = os.getcwd()
