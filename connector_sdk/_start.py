"""Read what the gateway tells a starting connector: docs/protocol.md, bootstrap."""

from __future__ import annotations

import os
import select
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationError

PROTOCOLS = (1,)
"""Every version of the protocol that this SDK speaks, the newest last."""
STDIN = 0
BOOTSTRAP_SECONDS = 10.0  # the gateway writes the line at once
BY_HAND = "To run one by hand: peftstudio-connector serve FILE --bootstrap FILE (docs/operations.md, under a debugger)."
LONGEST_BOOTSTRAP_BYTES = 64 * 1024
LONGEST_SOCKET_BYTES = 100  # the kernel takes 107
HEALTH_SUFFIX = ".health"
LEAST_MEMORY_BYTES = 1024**3  # Python, gRPC and their threads reserve 0.9 GiB of address space, and use 50 MiB of it

NotNegative = Annotated[float, Field(ge=0)]


class ExitCode(IntEnum):
    """How the gateway is told whether to start the connector again."""

    DONE = 0
    TRY_AGAIN = 75
    CONFIGURATION = 78


class StartError(Exception):
    """Report why the connector cannot start, in one sentence: what is wrong and what to do."""

    def __init__(self, message: str, exit_code: ExitCode = ExitCode.CONFIGURATION) -> None:
        """Keep the sentence and the exit code that follows from it."""
        super().__init__(message)
        self.exit_code = exit_code


class Bootstrap(BaseModel):
    """The line that the gateway writes to a connector's stdin."""

    version: Literal[1]
    instance_id: str
    generation: int = 0
    socket: Path
    gateway_token: str
    connector_token: str
    protocols: list[int]
    log_level: str = "INFO"
    work_dir: Path
    host_loss: Literal["exit", "linger"] = "exit"
    """What to do once the gateway is gone: end, or wait for another to adopt this process."""
    linger_seconds: NotNegative = 300.0
    stacks_path: Path | None = None
    """Where SIGUSR1 and crashes leave the stacks of all threads."""
    memory_limit_bytes: Annotated[int, Field(ge=0)] = 0
    """The most address space that the process may have; 0 = no limit."""

    @property
    def health_socket(self) -> Path:
        """Where health is served however busy the connector is."""
        return self.socket.with_name(self.socket.name + HEALTH_SUFFIX)

    def check(self) -> None:
        """Raise `StartError` for what this connector cannot do."""
        if not set(PROTOCOLS) & set(self.protocols):
            ours = list(PROTOCOLS)
            raise StartError(f"The gateway speaks protocols {self.protocols}, this connector {ours}: update one.")
        if 0 < self.memory_limit_bytes < LEAST_MEMORY_BYTES:
            raise StartError(
                f"The memory limit is {self.memory_limit_bytes} bytes of address space, of which Python and gRPC alone "
                f"reserve most of {LEAST_MEMORY_BYTES}: set at least that."
            )
        length = len(os.fsencode(self.health_socket))
        if length > LONGEST_SOCKET_BYTES:
            raise StartError(
                f"The socket path has {length} bytes with {HEALTH_SUFFIX} behind it and may have "
                f"{LONGEST_SOCKET_BYTES}: use a shorter runtime folder."
            )


def read_bootstrap() -> tuple[Bootstrap, int]:
    """Read the line, and give it with the descriptor that is the lifeline from now on.

    The lifeline is moved away from stdin, so that neither the author nor a child process can read from it.
    """
    line = _line_from_stdin()
    lifeline = os.dup(STDIN)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), STDIN, inheritable=True)
    try:
        return Bootstrap.model_validate_json(line), lifeline
    except ValidationError as error:
        fields = ", ".join(sorted({str(item["loc"][0]) if item["loc"] else "JSON" for item in error.errors()}))
        raise StartError(f"The bootstrap line cannot be read ({fields}): gateway and connector do not match.") from None


def _line_from_stdin() -> bytes:
    data = b""
    if os.isatty(STDIN):
        raise StartError(f"A connector is started by the gateway. {BY_HAND}")
    while not data.endswith(b"\n") and len(data) < LONGEST_BOOTSTRAP_BYTES:
        readable, _, _ = select.select([STDIN], [], [], BOOTSTRAP_SECONDS)
        piece = os.read(STDIN, LONGEST_BOOTSTRAP_BYTES) if readable else b""
        if not piece:
            raise StartError(f"No bootstrap line came on stdin: a connector is started by the gateway. {BY_HAND}")
        data += piece
    return data
