"""The logs of all jobs: each open while somebody writes or reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.broadcast import Broadcast
from gateway.jobs.model import JobState
from gateway.logs.segment import Segment


@dataclass(frozen=True, slots=True)
class Ending:
    """How a log ended."""

    final_state: JobState
    is_complete: bool
    """Whether the log has every line that the platform gave."""


class JobLog:
    """One job's log while it is open: the stored lines, and a notice whenever there are more."""

    def __init__(self, folder: Path) -> None:
        self.segment = Segment(folder)
        self.changed = Broadcast()
        self._ending_path = folder / "ending.json"
        self.ending = _read_ending(self._ending_path)
        self.is_live = False
        """Whether somebody is at work who will call `finish`."""

    def finish(self, ending: Ending) -> None:
        """Note that no more lines come, because the job has ended."""
        temporary = self._ending_path.with_suffix(".new")
        temporary.write_text(json.dumps({"final_state": ending.final_state, "is_complete": ending.is_complete}))
        temporary.rename(self._ending_path)
        self.ending = ending
        self.changed.notify()


class LogStore:
    """Find the log of a job."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._logs: dict[str, JobLog] = {}
        self._users: dict[str, int] = {}

    @contextmanager
    def open(self, job_id: str) -> Iterator[JobLog]:
        """Give the log of a job; all who have it open share one."""
        log = self._logs.get(job_id)
        if log is None:
            log = self._logs[job_id] = JobLog(self._folder / job_id)
        self._users[job_id] = self._users.get(job_id, 0) + 1
        try:
            yield log
        finally:
            self._users[job_id] -= 1
            if not self._users[job_id]:
                del self._users[job_id], self._logs[job_id]
                log.segment.close()


def _read_ending(path: Path) -> Ending | None:
    try:
        fields = json.loads(path.read_text())
        return Ending(JobState(fields["final_state"]), fields["is_complete"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        # Also one that a power cut left empty: the ledger then says how the job ended.
        return None
