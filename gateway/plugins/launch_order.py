"""What a process is to be like that is launched."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gateway.plugins.handshake import Bootstrap


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchOrder:
    """A process to be launched."""

    command: tuple[str, ...]
    declared: tuple[str, ...]
    """Variables that the manifest asks for."""
    bootstrap: Bootstrap
    entrance: Path | None = None
    """Of the control group that limits its memory; None = none does."""
    log_file: Path | None = None
    """Where it prints to; None = into pipes, which break with the gateway."""
