"""The place that a reader of a log has reached, and what it has to ask for to go on from there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from peftstudio.gateway.v1.jobs_service_pb2 import LogEnd, StreamLogsRequest, StreamLogsResponse
from peftstudio.job.v1.job_state_pb2 import JOB_STATE_UNSPECIFIED
from peftstudio.job.v1.log_pb2 import LOG_LEVEL_WARNING, LOG_STREAM_SYSTEM, LogFilter, LogGap, LogLine


@dataclass(frozen=True, slots=True, kw_only=True)
class LogStart:
    """Where to begin; at most one is set, none = at the first line."""

    after_seq: int | None = None
    tail: int | None = None
    since: datetime | None = None
    from_end: bool = False

    def __post_init__(self) -> None:
        given = [self.after_seq is not None, self.tail is not None, self.since is not None, self.from_end]
        if sum(given) > 1:
            raise ValueError("at most one of after_seq, tail, since and from_end can be given")


class LogCursor:
    """Turns the answers of any number of streams into each line once and in order."""

    def __init__(self, job_id: str, start: LogStart, *, follow: bool, line_filter: LogFilter | None = None) -> None:
        self._job_id = job_id
        self._start = start
        self._follow = follow
        self._filter = line_filter
        self._after_seq = start.after_seq

    def request(self) -> StreamLogsRequest:
        """Build the request that continues behind everything accepted so far."""
        request = StreamLogsRequest(job_id=self._job_id, follow=self._follow, filter=self._filter)
        if self._after_seq is not None:
            request.after_seq = self._after_seq
        elif self._start.tail is not None:
            request.tail = self._start.tail
        elif self._start.since is not None:
            request.since.CopyFrom(_timestamp(self._start.since))
        elif self._start.from_end:
            request.from_end = True

        return request

    def accept(self, response: StreamLogsResponse) -> Iterator[LogLine]:
        """Return the lines that are new; a gap and an incomplete end become lines of the system's."""
        reached = self._after_seq or 0
        lines = [line for line in response.lines if line.seq > reached]
        # A gap without numbers is told with the line that it precedes, and is as new as that.
        if response.HasField("gap") and (response.gap.to_seq or response.gap.from_seq) > reached:
            lines.append(_gap_line(response.gap))

        lines.sort(key=lambda line: line.seq)
        if response.HasField("end") and _is_incomplete(response.end):
            lines.append(_system_line(response.end.last_seq, "the log ends here, but lines at its end may be missing"))

        self._advance(max([response.next_after_seq, *(line.seq for line in lines)]))
        return iter(lines)

    def _advance(self, seq: int) -> None:
        # A sign of life in an empty log says 0; taking that as a place would turn "last 10 lines" into "all lines".
        if seq or self._after_seq is not None:
            self._after_seq = max(seq, self._after_seq or 0)


def _timestamp(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def _is_incomplete(end: LogEnd) -> bool:
    return end.final_state != JOB_STATE_UNSPECIFIED and not end.complete


def _gap_line(gap: LogGap) -> LogLine:
    if not gap.to_seq:
        return _system_line(gap.from_seq - 1, f"lines are missing here: {gap.why}")
    if gap.from_seq == gap.to_seq:
        return _system_line(gap.to_seq, f"line {gap.to_seq} is missing: {gap.why}")
    return _system_line(gap.to_seq, f"lines {gap.from_seq} to {gap.to_seq} are missing: {gap.why}")


def _system_line(seq: int, text: str) -> LogLine:
    return LogLine(seq=seq, stream=LOG_STREAM_SYSTEM, level=LOG_LEVEL_WARNING, text=text)
