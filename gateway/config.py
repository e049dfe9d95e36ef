"""What an operator can set, and where the gateway keeps things."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

DEFAULT_PORT = 7717


def default_data_dir() -> Path:
    """Return the folder that the gateway, the command line and the Python client agree on without being told."""
    import platformdirs  # not where the folder is told

    return Path(platformdirs.user_data_dir("peftstudio-connect", appauthor=False))


class Settings(BaseModel):
    """What an operator can set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    """Address to listen on; any but a loopback address needs a certificate."""
    port: Annotated[int, Field(ge=0, le=65535)] = DEFAULT_PORT
    """Port to listen on; 0 = any that is free."""
    data_dir: Path = Field(default_factory=default_data_dir)
    """Ledger, logs, files, key and token."""
    ledger: SecretStr | None = None
    """URL of a ledger on a PostgreSQL server; None = `<data_dir>/ledger.db`."""
    plugin_dirs: tuple[Path, ...] = ()
    """Folders with connectors of one's own, beside `<data_dir>/connectors`."""
    connectors_config: Path | None = None
    """The `connectors.json` of the connector guide; None = `<data_dir>/connectors.json` where it exists."""
    tls_certificate: Path | None = None
    """PEM file with the certificate chain."""
    tls_key: Path | None = None
    """PEM file with the certificate's private key."""
    cache_bytes: Annotated[int, Field(ge=0)] = 50 * 1024**3
    """Disk for copies of jobs' files: thousands of adapters, or a few merged models."""
    job_log_bytes: Annotated[int, Field(ge=0)] = 1024**3
    """Disk for the log of one job, beyond which its oldest lines are deleted; 0 = without a limit."""
    job_logs_bytes: Annotated[int, Field(ge=0)] = 50 * 1024**3
    """Disk for the logs of all jobs, beyond which the oldest lines are deleted; 0 = without a limit."""
    job_log_days: Annotated[float, Field(ge=0)] = 90
    """Age at which lines are deleted; 0 = never."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["console", "json"] = "console"
    integrity: Literal["show", "strict"] = "show"
    """`strict` = a connector whose files changed since its first start is not started."""
    launch: Literal["fork", "exec"] = "fork"
    """`fork` = connectors on the SDK are forked from a process that has imported it, where that is possible."""

    @field_validator("data_dir", "plugin_dirs", "connectors_config", mode="after")
    @classmethod
    def _absolute(cls, value: Path | tuple[Path, ...] | None) -> Path | tuple[Path, ...] | None:
        """Make paths mean the same in every process: connectors have working directories of their own."""
        if isinstance(value, tuple):
            return tuple(path.expanduser().absolute() for path in value)
        return None if value is None else value.expanduser().absolute()

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False
