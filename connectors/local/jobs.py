"""The local jobs: at most one process for each, started in the order of submission as slots get free.

Every method takes the lock of the root folder, so that several connectors, or one that comes back after a crash,
may work on the same jobs. Nothing is kept in memory that the folders do not say. A method takes some
milliseconds, one that starts a process about 20 ms more.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from connector_sdk.models import JobObservation, JobStatus, SubmitRequest
from connectors.local import observation
from connectors.local.job_folder import UNFINISHED_PREFIX, JobFolder, JobState, Wanted
from connectors.local.schedule import Schedule
from connectors.trainer.spec import JobSpec

TRAINER = (sys.executable, "-P", "-m", "connectors.trainer")
"""The program that trains; the path of the spec is appended."""

CANCEL_GRACE = timedelta(seconds=10)
"""Time a cancelled training has to end by itself before it is killed."""

_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")  # what may safely be the name of a folder


class UnknownJob(LookupError):
    """Raised for a job id that belongs to no folder."""


class LocalJobs:
    """Submit, watch and stop the jobs below one root folder."""

    def __init__(
        self,
        root: Path,
        *,
        command: Sequence[str] = TRAINER,
        gpu_count: int = 0,
        max_concurrent: int | None = None,
        cancel_grace: timedelta = CANCEL_GRACE,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Use a root folder, which is made if need be.

        `max_concurrent` jobs may run at once; None = one on each GPU, or one where there is none. What a
        training gets of the variables is picked from `environment`; None = those of this process.
        """
        root.mkdir(parents=True, exist_ok=True)
        self._root = root
        self._schedule = Schedule(
            root,
            command=command,
            environment=os.environ if environment is None else environment,
            gpu_count=gpu_count,
            slots=max_concurrent or max(1, gpu_count),
            cancel_grace=cancel_grace,
        )

    def submit(self, request: SubmitRequest) -> str:
        """Take a job and give its id; the same submission token always gives the same job.

        Raises:
            ValueError: if the token cannot name a folder.

        """
        token = request.submission_token
        if not _TOKEN.fullmatch(token):
            raise ValueError(f"submission_token: {token!r} may hold letters, digits, dots, dashes and underscores")
        folder = JobFolder(self._root / token)
        spec = JobSpec(
            job_id=request.job_id,
            config=request.config,
            work_dir=folder.path,
            output_dir=folder.output_dir,
            records_path=folder.records_path,
        )
        with self._lock():
            self._clear_unfinished_submissions()
            folder.create(spec, JobState(submitted_at=time.time(), queued_at=time.time()))
            self._schedule.advance()
        return token

    def job_ids(self) -> list[str]:
        """List the jobs, those that were submitted first first."""
        folders = [JobFolder(path) for path in self._root.iterdir() if not path.name.startswith(".")]
        return [folder.path.name for folder in sorted(folders, key=lambda folder: folder.state().submitted_at)]

    def folder(self, job_id: str) -> JobFolder:
        """Give the folder of a job, to read its logs, records and artifacts.

        Raises:
            UnknownJob: if there is no such job.

        """
        folder = JobFolder(self._root / job_id)
        if not _TOKEN.fullmatch(job_id) or not folder.spec_path.is_file():
            raise UnknownJob(f"there is no job {job_id} on this machine")
        return folder

    def observe(self, job_id: str) -> JobObservation:
        """Start and stop what is due, then describe the job."""
        folder = self.folder(job_id)
        with self._lock():
            self._schedule.advance()
            return observation.observe(folder)

    def tick(self) -> None:
        """Start and stop what is due; call it from time to time when nobody observes."""
        with self._lock():
            self._schedule.advance()

    def pause(self, job_id: str) -> None:
        """Let the job write a checkpoint and end its process; one that has ended stays as it is."""
        self._change(job_id, wanted="paused")

    def cancel(self, job_id: str) -> None:
        """Stop the job for good; it is killed by a later `observe` or `tick` if it outlives the grace."""
        self._change(job_id, wanted="cancelled")

    def resume(self, job_id: str) -> None:
        """Put a paused or failed job back in line; it continues from its newest checkpoint.

        A failed one gets a new attempt. A running one that was asked to pause starts again once it has paused.
        """
        folder = self.folder(job_id)
        with self._lock():
            state, seen = folder.state(), observation.observe(folder).status
            is_pausing = seen is JobStatus.RUNNING and state.wanted == "paused"
            if seen in (JobStatus.PAUSED, JobStatus.FAILED) or is_pausing:
                state.attempt += seen is JobStatus.FAILED
                state.wanted, state.false_starts = "running", 0
                # One that was not yet told to stop just goes on.
                state.queued_at = None if is_pausing and state.stop_asked_at is None else time.time()
                folder.write_state(state)
            self._schedule.advance()

    def _change(self, job_id: str, wanted: Wanted) -> None:
        folder = self.folder(job_id)
        with self._lock():
            if observation.observe(folder).status in (JobStatus.PENDING, JobStatus.RUNNING, JobStatus.PAUSED):
                state = folder.state()
                if state.wanted != wanted:
                    state.stop_asked_at = None  # a new wish gets a grace of its own
                state.wanted, state.queued_at = wanted, None
                folder.write_state(state)
            self._schedule.advance()

    def _clear_unfinished_submissions(self) -> None:
        for leftover in self._root.glob(f"{UNFINISHED_PREFIX}*"):
            shutil.rmtree(leftover, ignore_errors=True)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        descriptor = os.open(self._root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
