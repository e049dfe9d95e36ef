"""Jobs that ended, kept in memory while they are asked for."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.jobs.model import Job

MOST_JOBS = 1000
"""As many as one call can ask for."""

MOST_DOCUMENT_CHARS = 8192
"""Jobs with a larger configuration are read each time, so that all that are kept are some megabytes at most."""


class EndedJobs:
    """The ended jobs that were used last, as they are in the database."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._age = 0

    @property
    def age(self) -> int:
        """Grows with every change of an ended job: what was read before it may be outdated."""
        return self._age

    def get(self, job_id: str) -> Job | None:
        """Return a job if it is here."""
        job = self._jobs.pop(job_id, None)
        if job is not None:
            self._jobs[job_id] = job
        return job

    def forget(self, job_id: str) -> None:
        """Have a job read again because it has changed, or may have."""
        self._age += 1
        self._jobs.pop(job_id, None)

    def offer(self, jobs: Iterable[Job], age: int) -> None:
        """Keep those of some jobs that have ended, unless one changed since they began to be read at `age`."""
        if age != self._age:
            return
        for job in jobs:
            if job.state.is_terminal and len(job.config.document) <= MOST_DOCUMENT_CHARS:
                self._jobs[job.id] = job
                if len(self._jobs) > MOST_JOBS:
                    del self._jobs[next(iter(self._jobs))]
