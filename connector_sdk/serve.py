"""Serve a connector to the gateway that started this process."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from connector_sdk._grpc_import import import_grpc
from connector_sdk._handshake import report_failure
from connector_sdk._log_setup import log_to_stderr
from connector_sdk._memory import limit_memory
from connector_sdk._output import make_unbreakable
from connector_sdk._redact import Secrets
from connector_sdk._stacks import leave_stacks_at
from connector_sdk._start import Bootstrap, ExitCode, StartError, read_bootstrap
from connector_sdk.connector import PlatformConnector

MIDDLE_SEARCHES = 50  # of the garbage collector between two full ones, which look at all that open calls hold

Load = Callable[[], type[PlatformConnector]]


def serve(connector_class: type[PlatformConnector]) -> NoReturn:
    """Serve a connector class until the gateway ends it; the last call of a connector's program."""
    serve_loaded(lambda: connector_class)


def serve_loaded(load: Load) -> NoReturn:
    """Serve the class that `load` gives; it is called once the gateway can be told what goes wrong with it."""
    try:
        bootstrap, lifeline = read_bootstrap()
        secrets = Secrets()
        make_unbreakable()
        log_to_stderr(bootstrap.log_level, secrets)
        bootstrap.check()
        limit_memory(bootstrap.memory_limit_bytes)
        leave_stacks_at(bootstrap.stacks_path)
        import_grpc()
        _run(load, bootstrap, lifeline, secrets)
    except StartError as error:
        report_failure(str(error))
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
    sys.exit(ExitCode.DONE)


def serve_at(
    load: Load,
    *,
    address: str,
    token_file: Path,
    certificate: Path | None = None,
    key: Path | None = None,
    client_ca: Path | None = None,
) -> NoReturn:
    """Serve the class that `load` gives at an address, until SIGTERM; the gateways that may call know the token file.

    Without a certificate only an address of this machine alone can be served. With `client_ca`, gateways must show a
    certificate, too.
    """
    import_grpc()
    secrets = Secrets()
    log_to_stderr("INFO", secrets)
    try:
        from connector_sdk._remote import Place, run

        place = Place(address=address, token_file=token_file, certificate=certificate, key=key, client_ca=client_ca)
        asyncio.run(run(_loaded(load), place, secrets))
    except StartError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
    sys.exit(ExitCode.DONE)


def _run(load: Load, bootstrap: Bootstrap, lifeline: int, secrets: Secrets) -> None:
    from connector_sdk._process import run

    with suppress(KeyboardInterrupt):
        asyncio.run(run(_loaded(load), bootstrap, lifeline, secrets))


def _loaded(load: Load) -> type[PlatformConnector]:
    """Give the class, with a garbage collector that suits many open calls; what an author sets himself counts."""
    # New garbage is found as soon as ever: a tensor may hang on it.
    gc.set_threshold(*gc.get_threshold()[:2], MIDDLE_SEARCHES)
    loaded = load()
    # What was imported stays: with torch, a full search of it would stop every call for a tenth of a second.
    gc.freeze()
    return loaded
