"""The logs of all jobs: each open while somebody writes or reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from gateway.broadcast import Broadcast
from gateway.jobs.model import JobState
from gateway.logs.messages import Messages
from gateway.logs.segments import Run, Segments, Spot

ENDING = "ending.json"
"""Name of the file that says how a log ended."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a log ended."""

    final_state: JobState
    is_complete: bool
    """Whether the log was read to its end."""
    gap: str = ""
    """Why lines may be missing behind the last one; empty = none are."""


class JobLog:
    """One job's log while it is open: the stored lines, and a notice whenever there are more."""

    def __init__(self, folder: Path, messages: Messages, max_bytes: int = 0) -> None:
        self.segments = Segments(folder, max_bytes)
        self.messages = messages
        self._folder = folder
        self.changed = Broadcast()
        self.ending = None if self.segments.is_new else _read_ending(folder / ENDING)
        self.is_live = False
        """Whether somebody is at work who will call `finish`."""
        self.gap = ""
        """Why lines may be missing behind the last one."""

    def read(self, spot: Spot, *, is_large: bool = False) -> Run | None:
        """Return what a follower is sent behind a spot: its lines are a whole message. None = nothing yet."""
        return self.messages.read(self._folder.name, self.segments, spot, is_large=is_large)

    def finish(self, ending: Ending) -> None:
        """Note that no more lines come, because the job has ended."""
        self.ending = replace(ending, gap=ending.gap or self.gap)
        # A log without lines has no folder yet.
        self._folder.mkdir(parents=True, exist_ok=True)
        draft = self._folder / "ending.new"
        draft.write_text(json.dumps(asdict(self.ending)))
        draft.rename(self._folder / ENDING)
        self.changed.notify()


class LogStore:
    """Find the log of a job."""

    def __init__(self, folder: Path, max_bytes: int = 0) -> None:
        """Keep logs in a folder, each within `max_bytes` of disk; 0 = without a limit."""
        self.folder = folder
        self._max_bytes = max_bytes
        self._messages = Messages()
        self._logs: dict[str, JobLog] = {}
        self._users: dict[str, int] = {}

    @contextmanager
    def open(self, job_id: str) -> Iterator[JobLog]:
        """Give the log of a job; all who have it open share one."""
        log = self._logs.get(job_id)
        if log is None:
            log = self._logs[job_id] = JobLog(self.folder / job_id, self._messages, self._max_bytes)
        self._users[job_id] = self._users.get(job_id, 0) + 1
        try:
            yield log
        finally:
            self._users[job_id] -= 1
            if not self._users[job_id]:
                del self._users[job_id], self._logs[job_id]
                log.segments.close()


def _read_ending(path: Path) -> Ending | None:
    try:
        fields = json.loads(path.read_text())
        return Ending(JobState(fields["final_state"]), fields["is_complete"], fields.get("gap", ""))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        # Also one that a power cut left empty: the ledger then says how the job ended.
        return None
