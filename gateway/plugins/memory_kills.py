"""Tells whether a process was killed for want of memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

NEAR_LIMIT = 0.95
"""Share of its limit with which a killed process is taken to have been killed for it."""
_ROOT = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Group:
    """The control group that the gateway and its connectors are in."""

    events: Path | None
    """The file that counts kills."""
    limit_bytes: int = 0
    """0 = none, or not known."""

    def kills(self) -> int:
        """Return how many processes the kernel has killed in it."""
        try:
            words = self.events.read_text().split() if self.events else []
        except OSError:
            return 0
        return int(words[words.index("oom_kill") + 1]) if "oom_kill" in words else 0


def own_group() -> Group:
    """Find the group of this process; one that counts nothing where the system has none."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return Group(None)
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            return _group(_ROOT / "memory", path, "memory.oom_control", "memory.limit_in_bytes")
    unified = next((line.split(":", 2)[2] for line in lines if line.startswith("0::")), "/")
    return _group(_ROOT, unified, "memory.events", "memory.max")


def _group(root: Path, path: str, events: str, limit: str) -> Group:
    # In a container the path is often that of the machine's own tree, and the group is the root.
    folder = next((place for place in (root / path.lstrip("/"), root) if (place / events).is_file()), None)
    if folder is None:
        return Group(None)
    try:
        text = (folder / limit).read_text().strip()
    except OSError:
        text = ""
    # Without a limit there is "max", or a number near 2^63.
    number = int(text) if text.isdigit() and len(text) < 17 else 0
    return Group(folder / events, number)


def evidence(kills_before: int, kills_now: int, memory_bytes: int, limits: tuple[int, ...]) -> str:
    """Say what speaks for a kill for want of memory; empty = nothing."""
    if kills_now > kills_before:
        count = kills_now - kills_before
        least = min((limit for limit in limits if limit), default=0)
        within = f", which may have {least // 1024**2} MiB" if least else ""
        return f"the kernel killed {count} process(es) of its control group{within}"
    near = [limit for limit in limits if limit and memory_bytes >= NEAR_LIMIT * limit]
    if near:
        return f"it had {memory_bytes // 1024**2} MiB of its limit of {min(near) // 1024**2} MiB"
    return ""
