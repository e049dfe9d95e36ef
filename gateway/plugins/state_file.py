"""What the next gateway must know of a process that outlives this one: a private file, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from gateway.plugins.folders import write_private
from gateway.plugins.identity import Identity

_VERSION = 1


class State(BaseModel):
    """One process that may outlive its gateway."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: int = _VERSION
    pid: int
    start_time: int
    boot_id: str
    generation: int
    socket: Path
    gateway_token: str
    connector_token: str
    digest: str = ""

    @property
    def identity(self) -> Identity:
        """The process, for ever."""
        return Identity(pid=self.pid, start_time=self.start_time, boot_id=self.boot_id)


def write_state(path: Path, state: State) -> None:
    """Replace the file."""
    write_private(path, state.model_dump_json().encode())


def read_state(path: Path) -> State | None:
    """Read the file; None = it cannot be read or understood, so that nothing is known of any process."""
    try:
        state = State.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    return state if state.version == _VERSION else None
