"""Run one training and leave its exit status on disk: `python -I -S shim.py FOLDER LOCK_FD -- ARGV...`.

The connector that starts this process may die; nobody else could then learn how the training ended. So the shim
stays with it: it forwards SIGTERM and SIGINT, waits, and writes FOLDER/exit.json. LOCK_FD is an inherited
descriptor with an exclusive lock. The shim and the training both keep it open, so the lock is held exactly as
long as one of them lives. Standard library only, and no site packages: it starts in some 20 ms.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

CANNOT_START = 127  # what a shell says when a command does not exist


class Child:
    """The training process, and the stop that was asked of it."""

    def __init__(self) -> None:
        self.pid: int | None = None
        self.stop_signal: int | None = None

    def forward(self, number: int, frame: FrameType | None) -> None:
        """Pass a signal on; one that comes before the process exists is passed on when it does."""
        self.stop_signal = number
        self._pass_on()

    def started(self, pid: int) -> None:
        """Note that the process exists."""
        self.pid = pid
        self._pass_on()

    def _pass_on(self) -> None:
        if self.pid is None or self.stop_signal is None:
            return
        # The signal may have gone to the whole group, and the process may have ended by it already.
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, self.stop_signal)


def main(arguments: list[str]) -> int:
    """Run the command and record how it ended."""
    folder, lock_descriptor, command = Path(arguments[0]), int(arguments[1]), arguments[3:]
    lift_memory_limit()
    child = Child()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for stop_signal in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop_signal, child.forward)
    # Whoever reads this may send signals, so the handlers come first.
    write_atomically(folder / "run.json", {"pid": os.getpid(), "started_at": time.time()})
    kills_before = oom_kills()
    try:
        pid = start(command, lock_descriptor)
    except OSError as error:
        sys.stderr.write(f"cannot start {command[0]}: {error.strerror}\n")
        write_atomically(folder / "exit.json", exit_record(CANNOT_START, None, 0, False))
        return CANNOT_START
    child.started(pid)
    _, status, usage = os.wait4(pid, 0)
    child.pid = None
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    code = None if number is not None else os.WEXITSTATUS(status)
    oom = number == signal.SIGKILL and was_oom_kill(kills_before, child.stop_signal is not None)
    write_atomically(folder / "exit.json", exit_record(code, number, usage.ru_maxrss, oom))
    return 0


def lift_memory_limit() -> None:
    """Undo what limits the connector: a training needs far more address space."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def start(command: list[str], lock_descriptor: int) -> int:
    """Start the command with the logs and the lock of this process, in its session, and give its pid."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=(lock_descriptor,))
    process.returncode = 0  # wait4 collects the status itself; the object must not
    return process.pid


def exit_record(code: int | None, number: int | None, max_rss: int, oom: bool) -> dict[str, object]:
    """Describe the end of the process; exactly one of code and signal is set."""
    rss_unit = 1 if sys.platform == "darwin" else 1024
    record: dict[str, object] = {"code": code, "signal": number, "ended_at": time.time()}
    return {**record, "max_rss_bytes": max_rss * rss_unit, "oom": oom}


def was_oom_kill(kills_before: int | None, stop_requested: bool) -> bool:
    """Judge a SIGKILL: by the kernel's counter where there is one, else by whether anybody asked for a stop."""
    kills_after = oom_kills()
    if kills_before is None or kills_after is None:
        return not stop_requested
    return kills_after > kills_before


def oom_kills() -> int | None:
    """Count the processes that the kernel killed for want of memory: in this cgroup, else on the machine."""
    for path in (cgroup_events(), Path("/proc/vmstat")):
        try:
            found = re.search(r"^oom_kill (\d+)$", path.read_text(), re.MULTILINE)
        except OSError:
            continue
        if found:
            return int(found[1])
    return None


def cgroup_events() -> Path:
    """Name the file in which cgroup v2 counts this process's out-of-memory kills; it may not exist."""
    try:
        found = re.search(r"^0::(.*)$", Path("/proc/self/cgroup").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return Path("/sys/fs/cgroup") / (found[1].strip("/") if found else "") / "memory.events"


def write_atomically(path: Path, record: dict[str, object]) -> None:
    """Write a JSON file so that it is whole or absent, also after a power cut."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(record, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
