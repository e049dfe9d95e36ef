"""The two lines that gateway and connector exchange before they speak gRPC; `docs/protocol.md` describes them."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from gateway.plugins.failures import StartFailed
from gateway.plugins.limits import HostLoss
from gateway.plugins.model import ExitClass

PROTOCOLS = (1,)
"""Versions of the protocol that this gateway speaks."""
CONTRACT = 1
"""Version of the two lines themselves."""
MAX_HANDSHAKE_BYTES = 16 * 1024
"""Far more than a handshake has; whatever is longer is none."""
_TOKEN_BYTES = 32


def _token() -> str:
    return secrets.token_urlsafe(_TOKEN_BYTES)


@dataclass(frozen=True, slots=True)
class Tokens:
    """How the two sides know each other, made for one process alone."""

    gateway: str = field(default_factory=_token, repr=False)
    """Proves the gateway to the connector."""
    connector: str = field(default_factory=_token, repr=False)
    """Proves the connector to the gateway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """All that a process needs to know before it can serve."""

    instance_id: str
    generation: int
    socket: Path
    work_dir: Path
    log_level: str
    tokens: Tokens
    host_loss: HostLoss = HostLoss.EXIT
    linger: timedelta = timedelta(0)
    memory_limit_bytes: int = 0
    """0 = none."""

    @property
    def stacks_path(self) -> Path:
        """Where the process writes all threads' stacks when it gets SIGUSR1."""
        return self.work_dir / f"stacks-{self.generation}.txt"

    @property
    def health_socket(self) -> Path:
        """Where health may be served apart from everything else."""
        return self.socket.with_name(self.socket.name + ".health")

    def line(self) -> bytes:
        """Write it as the first line of the process's stdin."""
        content = {
            "version": CONTRACT,
            "instance_id": self.instance_id,
            "generation": self.generation,
            "socket": str(self.socket),
            "gateway_token": self.tokens.gateway,
            "connector_token": self.tokens.connector,
            "protocols": PROTOCOLS,
            "log_level": self.log_level,
            "work_dir": str(self.work_dir),
            "host_loss": self.host_loss.value,
            "linger_seconds": self.linger.total_seconds(),
            "stacks_path": str(self.stacks_path),
            "memory_limit_bytes": self.memory_limit_bytes,
        }
        return json.dumps(content).encode() + b"\n"


class Handshake(BaseModel):
    """What a process says once it listens, or why it cannot."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: int
    protocol: int = 0
    address: str = ""
    pid: int = 0
    sdk: str = ""
    error: str = ""
    health_address: str = ""
    """Where health is served on a thread of its own; empty = on the socket."""
    contract_digest: str = ""
    """Of the contract that the connector was built with."""


def read_handshake(line: bytes, socket: Path) -> Handshake:
    """Read the line that a process wrote on descriptor 3.

    Raises:
        StartFailed: It says that the process cannot start, or it is not a handshake that this gateway can use.

    """
    try:
        handshake = Handshake.model_validate_json(line)
    except ValidationError as error:
        raise _mismatch(f"its handshake cannot be read: {line[:200]!r}") from error
    if handshake.version != CONTRACT:
        raise _mismatch(f"its handshake has version {handshake.version}; this gateway reads {CONTRACT}")
    if handshake.error:
        raise StartFailed(handshake.error, ExitClass.CONFIG)
    if handshake.protocol not in PROTOCOLS:
        raise _mismatch(f"it speaks protocol {handshake.protocol}; this gateway speaks {PROTOCOLS}")
    if handshake.health_address not in ("", f"unix:{socket}.health"):
        raise _mismatch(f"it serves health on {handshake.health_address!r} and not beside the socket that it was given")
    if handshake.address != f"unix:{socket}":
        raise _mismatch(f"it listens on {handshake.address!r} and not on the socket that it was given")
    return handshake


def _mismatch(message: str) -> StartFailed:
    return StartFailed(message, ExitClass.PROTOCOL_MISMATCH)
