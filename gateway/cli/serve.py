"""`peftstudio serve`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gateway.cli.exit_codes import ExitCode
from gateway.cli.options import examples
from gateway.cli.running import fail
from gateway.cli.slender import without

if TYPE_CHECKING:
    from pydantic import SecretStr

LEDGER_VARIABLE = "PEFTSTUDIO_LEDGER"

GRPC_ENVIRONMENT = {
    # The C core repeats in its own words what we say.
    "GRPC_VERBOSITY": "NONE",
    # It forks badly, and we fork from a process that never starts it.
    "GRPC_ENABLE_FORK_SUPPORT": "0",
    # Its event engine hands each event through two threads, the poller of before it, Python's default until grpc#41432,
    # through none. A version that has no such switch ignores it.
    "GRPC_EXPERIMENTS": "-event_engine_client,-event_engine_listener",
}
"""What has to stand before grpc is imported; an operator's own values win."""

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
LogFormat = Literal["console", "json"]
Integrity = Literal["show", "strict"]
Launch = Literal["fork", "exec"]
DataDir = Annotated[
    Path | None, typer.Option(envvar="PEFTSTUDIO_DATA_DIR", help="Folder for all that the gateway keeps.")
]
Ledger = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar=LEDGER_VARIABLE,
        help="Ledger on a PostgreSQL server, e.g. postgresql://me@db/peftstudio; else a file in the data folder.",
    ),
]
PluginDirs = Annotated[
    list[Path] | None, typer.Option("--plugins", metavar="DIR", help="Folder with connectors; can be repeated.")
]
Host = Annotated[str, typer.Option(help="Address to listen on; only a loopback one does without TLS.")]
Port = Annotated[
    int, typer.Option(envvar="PEFTSTUDIO_PORT", help="Port to listen on; 0 = any that is free.", min=0, max=65_535)
]
Config = Annotated[Path | None, typer.Option(metavar="FILE", help="connectors.json; else the data folder's.")]
Certificate = Annotated[Path | None, typer.Option(metavar="PEM", help="Certificate chain.")]
Key = Annotated[Path | None, typer.Option(metavar="PEM", help="Private key of the certificate.")]
Pinning = Annotated[Integrity, typer.Option(help="strict = a connector whose files changed is not started.")]
Launching = Annotated[
    Launch, typer.Option(help="fork = from a process with the SDK imported, which is quicker; exec = as a program.")
]
CacheGib = Annotated[
    float, typer.Option(help="Disk for copies of jobs' files; those not read for longest go first.", min=0)
]
JobLogMib = Annotated[
    float, typer.Option(help="Disk for one job's log; its oldest lines go first; 0 = no limit.", min=0)
]
JobLogsGib = Annotated[
    float, typer.Option(help="Disk for all jobs' logs; the oldest lines go first; 0 = no limit.", min=0)
]
JobLogDays = Annotated[float, typer.Option(help="How long lines of jobs' logs are kept; 0 = for ever.", min=0)]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=examples("peftstudio serve", "peftstudio serve --port 0 --plugins ./my-connectors --log-format json")
    )(serve)


def serve(
    context: typer.Context,
    host: Host = "127.0.0.1",
    port: Port = 7717,
    data_dir: DataDir = None,
    ledger: Ledger = None,
    plugins: PluginDirs = None,
    config: Config = None,
    tls_certificate: Certificate = None,
    tls_key: Key = None,
    integrity: Pinning = "show",
    launch: Launching = "fork",
    cache_gib: CacheGib = 50,
    job_log_mib: JobLogMib = 1024,
    job_logs_gib: JobLogsGib = 50,
    job_log_days: JobLogDays = 90,
    log_level: Annotated[LogLevel, typer.Option(help="How much to tell.")] = "INFO",
    log_format: Annotated[LogFormat, typer.Option(help="How to tell it.")] = "console",
) -> None:
    """Run the gateway until it is interrupted."""
    for name, value in GRPC_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # structlog would import it for tracebacks that the gateway's log does not have.
    with without("rich"):
        from gateway.app import run
    from gateway.config import Settings, default_data_dir
    from gateway.errors import GatewayError

    settings = Settings(
        host=host,
        port=port,
        data_dir=data_dir or context.obj.data_dir or default_data_dir(),
        ledger=_ledger(context, ledger),
        plugin_dirs=tuple(plugins or ()),
        connectors_config=config,
        tls_certificate=tls_certificate,
        tls_key=tls_key,
        integrity=integrity,
        launch=launch,
        cache_bytes=int(cache_gib * 1024**3),
        job_log_bytes=int(job_log_mib * 1024**2),
        job_logs_bytes=int(job_logs_gib * 1024**3),
        job_log_days=job_log_days,
        log_level=log_level,
        log_format=log_format,
    )
    try:
        run(settings)
    except (GatewayError, OSError) as error:
        fail(str(error), ExitCode.ERROR, error)


def _ledger(context: typer.Context, url: str | None) -> SecretStr | None:
    """Check the ledger's URL; one with a password must not come from where every user of the machine can read it."""
    if not url:
        return None
    from pydantic import SecretStr

    from gateway.errors import GatewayError
    from gateway.store.ledger_url import LedgerUrl

    try:
        parsed = LedgerUrl.parse(url)
    except GatewayError as error:
        fail(str(error), ExitCode.ERROR, error)
    source = context.get_parameter_source("ledger")
    if parsed.has_password and source is not None and source.name == "COMMANDLINE":
        message = (
            "every program of this machine can read a password in an argument list; "
            f"give the URL by {LEDGER_VARIABLE}, or the password by ~/.pgpass or PGPASSFILE"
        )
        fail(message, ExitCode.ERROR, ValueError(message))
    return SecretStr(url)
