"""The folder of one local job, which is all that is known about it.

    spec.json      what the trainer is told       state.json    what is wanted of the job, and its place in line
    stdout.log     what the trainer printed       stderr.log    likewise
    records.jsonl  metrics, progress, result      exit.json     how the current run ended (from the shim)
    checkpoints/   to resume from                 output/       the artifacts, whole or absent
    run.lock       locked while the shim or the trainer lives     run.json   the shim's process id

The lock is the proof of identity: the system drops it when the last process that holds it ends, and with it goes
the only reason to believe that a process id still means this job. No process id outlives a reboot in this way.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ValidationError

from connectors.local.shim import write_atomically
from connectors.trainer.spec import JobSpec

UNFINISHED_PREFIX = ".new-"  # of a folder that is being filled

Wanted = Literal["running", "paused", "cancelled"]
_Record = TypeVar("_Record", bound=BaseModel)


class JobState(BaseModel):
    """What somebody wants of the job; what it does is seen from the other files."""

    wanted: Wanted = "running"
    attempt: int = 1
    """Counts retries after a failure; pausing and resuming do not change it."""
    runs: int = 0
    """Processes started so far."""
    submitted_at: float = 0.0
    queued_at: float | None = None
    """Since when the job waits for a slot; None = it waits for nothing."""
    slot: int = 0
    """The slot, hence the GPU, of the current run."""
    false_starts: int = 0
    """Starts in a row of which nothing came, not even the shim."""
    stop_asked_at: float | None = None
    """When the current run was asked to stop; None = it was not."""


class ExitRecord(BaseModel):
    """How a run ended, as the shim saw it."""

    code: int | None
    signal: int | None
    ended_at: float
    max_rss_bytes: int = 0
    oom: bool = False


class RunRecord(BaseModel):
    """Which process runs the job."""

    pid: int
    started_at: float


class JobFolder:
    """Read and write the files of one job. Every method takes less than a few milliseconds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.spec_path = path / "spec.json"
        self.stdout_log = path / "stdout.log"
        self.stderr_log = path / "stderr.log"
        self.records_path = path / "records.jsonl"
        self.output_dir = path / "output"

    def create(self, spec: JobSpec, state: JobState) -> bool:
        """Make the folder with everything in it at once; False = it was there already and is left as it is."""
        if self.path.exists():
            return False
        staging = JobFolder(Path(tempfile.mkdtemp(prefix=UNFINISHED_PREFIX, dir=self.path.parent)))
        staging.write_spec(spec)
        staging.write_state(state)
        for log in (staging.stdout_log, staging.stderr_log, staging.records_path):
            log.touch(mode=0o600)
        os.rename(staging.path, self.path)
        return True

    def spec(self) -> JobSpec:
        """Read what the trainer is told."""
        return JobSpec.model_validate_json(self.spec_path.read_bytes())

    def write_spec(self, spec: JobSpec) -> None:
        """Replace what the trainer is told."""
        write_atomically(self.spec_path, spec.model_dump(mode="json"))

    def state(self) -> JobState:
        """Read what is wanted of the job."""
        return JobState.model_validate_json((self.path / "state.json").read_bytes())

    def write_state(self, state: JobState) -> None:
        """Replace what is wanted of the job."""
        write_atomically(self.path / "state.json", state.model_dump())

    def exit(self) -> ExitRecord | None:
        """Read how the current run ended; None = it runs, never ran, or nobody saw its end."""
        return _read(ExitRecord, self.path / "exit.json")

    def run(self) -> RunRecord | None:
        """Read which process runs the job; only meaningful while `is_alive()`."""
        return _read(RunRecord, self.path / "run.json")

    def forget_run(self) -> None:
        """Remove what an earlier run left, before the next one is started."""
        for name in ("exit.json", "run.json"):
            (self.path / name).unlink(missing_ok=True)

    def acquire_run_lock(self) -> int | None:
        """Lock the job for a run and give the descriptor to hand to the shim; None = a run lives."""
        descriptor = os.open(self.path / "run.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def is_alive(self) -> bool:
        """Tell whether the shim or the trainer lives, whoever started them."""
        try:
            descriptor = os.open(self.path / "run.lock", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two that look do not see each other
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def never_began(self, state: JobState) -> bool:
        """Tell whether a start was intended but nothing was started, because whoever meant to was killed."""
        return state.runs > 0 and self.run() is None and self.exit() is None and not self.is_alive()

    def is_complete(self) -> bool:
        """Tell whether the artifacts are there."""
        return (self.output_dir / "manifest.json").is_file()


def _read(kind: type[_Record], path: Path) -> _Record | None:
    try:
        return kind.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def read_json_lines(path: Path, last_bytes: int) -> list[dict[str, object]]:
    """Read the objects in the last part of a JSON Lines file; a line that is cut off is left out."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - last_bytes))
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return []
    found = []
    for line in lines if size <= last_bytes else lines[1:]:
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            found.append(value)
    return found
