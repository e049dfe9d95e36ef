"""What one job that a connector runs itself has to tell, in one place: its log, its metrics, how far it is, its end.

It is in memory, and gone with the connector's process: for jobs that end with it, too. A job that outlives its
connector keeps its log in a file, or at its platform.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Literal

from connector_sdk.errors import CursorExpiredError
from connector_sdk.models import JobObservation, JobStatus, LogRecord, MetricPoint, Progress

MOST_LINES = 100_000  # that are kept; the gateway has stored what it has read
MOST_POINTS = 100_000  # of metrics
PAGE_POINTS = 10_000  # that `get_metrics_since` may give at once

Stream = Literal["stdout", "stderr", "system"]
_ENDED = (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)


class JobContext:
    """Take what happens to one job, and give it in the shapes that a connector's methods return."""

    def __init__(self, *, most_lines: int = MOST_LINES) -> None:
        """Begin with a job that is pending; only its last lines are kept."""
        self._lines: deque[LogRecord] = deque(maxlen=most_lines)
        self._points: deque[MetricPoint] = deque(maxlen=MOST_POINTS)
        self._line_count = 0
        self._point_count = 0
        self._seen = JobObservation(status=JobStatus.PENDING)
        self._news = asyncio.Event()

    def start(self) -> None:
        """Note that the job runs."""
        self._note(status=JobStatus.RUNNING, started_at=datetime.now(UTC))

    def log(self, text: str, stream: Stream = "stdout") -> None:
        """Add a line, or several in one text."""
        for line in text.splitlines() or [""]:
            self._line_count += 1
            cursor = str(self._line_count)
            self._lines.append(LogRecord(text=line, stream=stream, time=datetime.now(UTC), cursor=cursor))
        self._tell()

    def metric(self, name: str, value: float, *, step: int = 0, epoch: float = 0) -> None:
        """Add a value of a metric."""
        self._point_count += 1
        self._points.append(MetricPoint(name=name, value=value, step=step, epoch=epoch, time=datetime.now(UTC)))

    def progress(self, step: int, total_steps: int = 0, estimated_remaining_seconds: float | None = None) -> None:
        """Note how far the job is."""
        progress = Progress(step=step, total_steps=total_steps, estimated_remaining_seconds=estimated_remaining_seconds)
        self._note(progress=progress)

    def end(self, status: JobStatus, message: str = "", *, exit_code: int | None = None) -> None:
        """Note how the job ended; what is said behind its end changes nothing."""
        self._note(status=status, message=message, exit_code=exit_code, ended_at=datetime.now(UTC))

    @property
    def observation(self) -> JobObservation:
        """What `get_job_status` returns."""
        return self._seen

    async def lines_from(self, cursor: str = "") -> AsyncIterator[LogRecord]:
        """Yield the log from behind a cursor until the job ends, as `stream_logs_from` does.

        Raises:
            CursorExpiredError: The lines behind it are no longer kept.

        """
        given = int(cursor or 0)
        while True:
            news, is_over = self._news, self._seen.status in _ENDED
            first = self._line_count - len(self._lines)
            if given < first:
                raise CursorExpiredError
            for record in list(self._lines)[given - first :]:
                yield record
                given += 1
            if is_over:
                return
            if given == self._line_count:
                await news.wait()

    def metrics_since(self, cursor: str) -> tuple[list[MetricPoint], str]:
        """Give the metrics behind a cursor, and the cursor behind these, as `get_metrics_since` does."""
        first = self._point_count - len(self._points)
        given = max(int(cursor or 0), first)
        points = list(self._points)[given - first :][:PAGE_POINTS]
        return points, str(given + len(points))

    def _note(self, **changes: object) -> None:
        if self._seen.status not in _ENDED:
            self._seen = self._seen.model_copy(update=changes)
        self._tell()

    def _tell(self) -> None:
        # A new one for those who have read up to here: who is still reading has the one that is set.
        self._news.set()
        self._news = asyncio.Event()
