"""Tells one process from another that has its number later: by when it started, and in which life of the machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_START_TIME = 19
"""Field 22 of `/proc/<pid>/stat`, counted behind the name, which may have spaces in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One process, for ever."""

    pid: int
    start_time: int
    """Clock ticks from the machine's start."""
    boot_id: str

    def is_alive(self) -> bool:
        """Whether this very process is there and no zombie."""
        return identify(self.pid) == self


def identify(pid: int) -> Identity | None:
    """Return who has a number now; None = nobody, a zombie, or a system that cannot tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None
    if fields[0] in ("Z", "X"):
        return None
    return Identity(pid=pid, start_time=int(fields[_START_TIME]), boot_id=boot_id)
