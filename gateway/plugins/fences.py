"""Control groups that keep connectors within their memory, where the system lets the gateway make some.

It does so where the memory controller is delegated: the gateway's own group can be written and hands the controller on
(systemd's `Delegate=yes`; on the older hierarchy, a writable folder is enough). The kernel then kills what goes beyond
the limit, children included, whatever language it is written in. Elsewhere the process limits itself.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from gateway.plugins.memory_kills import Group

_ROOT = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")
_PREFIX = "peft"


@dataclass(frozen=True, slots=True)
class Kind:
    """How one hierarchy names its files."""

    limit: str
    events: str
    more: tuple[tuple[str, str], ...]
    """Further files with what is written into them, where they are there."""


UNIFIED = Kind("memory.max", "memory.events", (("memory.oom.group", "1"), ("memory.swap.max", "0")))
LEGACY = Kind("memory.limit_in_bytes", "memory.oom_control", ())


@dataclass(frozen=True, slots=True)
class Fence:
    """One process's group."""

    folder: Path
    group: Group

    @property
    def entrance(self) -> Path:
        """The file into which a process writes its number to be in the group."""
        return self.folder / "cgroup.procs"

    def remove(self) -> None:
        """Remove the group; one that still has a process stays."""
        with suppress(OSError):
            self.folder.rmdir()


@dataclass(frozen=True, slots=True)
class Fences:
    """Makes groups below the gateway's own; none where that is not allowed."""

    parent: Path | None
    kind: Kind = UNIFIED
    name: str = field(default="")
    """Of this gateway, so that it removes no other's."""

    def make(self, connector_id: str, generation: int, limit_bytes: int) -> Fence | None:
        """Make a group with a limit; None = the system does not let the gateway."""
        fence = self.find(connector_id, generation, limit_bytes)
        if fence is None:
            return None
        try:
            fence.folder.mkdir(exist_ok=True)
            (fence.folder / self.kind.limit).write_text(str(limit_bytes))
        except OSError:
            fence.remove()
            return None
        for file, text in self.kind.more:
            with suppress(OSError):
                (fence.folder / file).write_text(text)
        return fence

    def find(self, connector_id: str, generation: int, limit_bytes: int) -> Fence | None:
        """Say where a process's group is, or would be."""
        if self.parent is None:
            return None
        folder = self.parent / f"{_PREFIX}-{self.name}-{connector_id}-{generation}"
        return Fence(folder, Group(folder / self.kind.events, limit_bytes))

    def sweep(self) -> None:
        """Remove what a killed gateway left; groups that still have a process stay."""
        for folder in self.parent.glob(f"{_PREFIX}-{self.name}-*") if self.parent else ():
            with suppress(OSError):
                folder.rmdir()


def find_fences(name: str, root: Path = _ROOT, own: Path = _OWN) -> Fences:
    """Look where the gateway may make groups."""
    try:
        lines = [line.split(":", 2) for line in own.read_text().splitlines()]
    except OSError:
        return Fences(None)
    for _, controllers, path in lines:
        folder = root / "memory" / path.lstrip("/")
        if "memory" in controllers.split(",") and (folder / LEGACY.limit).is_file() and os.access(folder, os.W_OK):
            return Fences(folder, LEGACY, name)
        folder = root / path.lstrip("/")
        if not controllers and _hands_on_memory(folder):
            return Fences(folder, UNIFIED, name)
    return Fences(None)


def _hands_on_memory(folder: Path) -> bool:
    try:
        handed_on = (folder / "cgroup.subtree_control").read_text().split()
    except OSError:
        return False
    return "memory" in handed_on and os.access(folder, os.W_OK)
