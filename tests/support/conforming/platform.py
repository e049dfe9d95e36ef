"""A platform whose jobs follow from their ids, so that every process knows the same of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from peftstudio.job.v1 import job_state_pb2 as states
from peftstudio.job.v1.log_pb2 import LogLine

LINES = 12
FILE = bytes(range(251)) * 900
SHA256 = hashlib.sha256(FILE).hexdigest()
LONG = "-long"


class Platform:
    """Jobs as empty files in a folder; `TOKEN-long` runs until it is cancelled, others have ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "jobs"
        self.folder.mkdir(exist_ok=True)

    def submit(self, token: str, *, is_long: bool) -> str:
        job = token + (LONG if is_long else "")
        (self.folder / job).touch()
        return job

    def knows(self, job: str) -> bool:
        return job in {path.name for path in self.folder.iterdir()}

    def runs(self, job: str) -> bool:
        return job.endswith(LONG) and not (self.folder / f"{job}.cancelled").exists()

    def cancel(self, job: str) -> None:
        if self.runs(job):
            (self.folder / f"{job}.cancelled").touch()

    def find(self, token: str) -> str:
        return next((job for job in (token, token + LONG) if self.knows(job)), "")

    def jobs(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir() if path.suffix != ".cancelled")

    def observe(self, job: str) -> states.JobObservation:
        if self.runs(job):
            return states.JobObservation(state=states.JOB_STATE_RUNNING, raw_state="busy", attempt=1)
        is_cancelled = job.endswith(LONG)
        state = states.JOB_STATE_CANCELLED if is_cancelled else states.JOB_STATE_SUCCEEDED
        return states.JobObservation(state=state, raw_state="over", attempt=1)

    def lines(self, job: str) -> list[LogLine]:
        count = 1 if job.endswith(LONG) else LINES
        return [LogLine(seq=number, text=f"line {number} \N{SLOTH}") for number in range(1, count + 1)]
