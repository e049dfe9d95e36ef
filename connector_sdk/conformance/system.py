"""What Linux tells about a process; elsewhere there is nothing to read, and what needs it is skipped."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from connector_sdk.conformance.check import SkippedCheck

PROC = Path("/proc")
SESSION_FIELD = 6  # as proc(5) counts them
LISTENING = "0A"  # the state of a TCP socket


def session(leader: int) -> list[int]:
    """Number the processes of a session, without those that are dead."""
    _need()
    found = []
    for folder in PROC.iterdir():
        with suppress(OSError, ValueError):
            if folder.name.isdigit():
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                if int(fields[SESSION_FIELD - 3]) == leader and fields[0] != "Z":
                    found.append(int(folder.name))
    return found


def start_time(pid: int) -> int:
    """Say when a process started, in clock ticks since the machine did."""
    _need()
    return int((PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[19])


def arguments(pid: int) -> bytes:
    """Give the argument list."""
    return _bytes(pid, "cmdline")


def environment(pid: int) -> bytes:
    """Give the environment that the process was started with."""
    return _bytes(pid, "environ")


def listening_ports(pid: int) -> list[int]:
    """List the TCP ports that a process listens at."""
    _need()
    links = [link.readlink() for link in (PROC / str(pid) / "fd").iterdir() if link.is_symlink()]
    inodes = {found[1] for link in links if (found := re.match(r"socket:\[(\d+)]", str(link)))}
    ports = []
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for row in (PROC / str(pid) / "net" / table).read_text().splitlines()[1:]:
                fields = row.split()
                if fields[3] == LISTENING and fields[9] in inodes:
                    ports.append(int(fields[1].rpartition(":")[2], 16))
    return ports


def open_files(pid: int) -> int:
    """Count the open files, which connections are, too."""
    _need()
    return len(list((PROC / str(pid) / "fd").iterdir()))


def _bytes(pid: int, name: str) -> bytes:
    _need()
    with suppress(OSError):
        return (PROC / str(pid) / name).read_bytes()
    return b""


def _need() -> None:
    if not (PROC / "self" / "stat").exists():
        raise SkippedCheck("this system has no /proc")
