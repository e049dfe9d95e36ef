"""Read an author's log as lines, each with what the gateway needs to continue behind it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from connector_sdk._iterate import walking
from connector_sdk._lines import LineFolder
from connector_sdk._observation import has_ended, to_observation
from connector_sdk._text import clean
from connector_sdk._times import to_timestamp
from connector_sdk.connector import PlatformConnector, overrides
from connector_sdk.models import LogRecord
from peftstudio.job.v1 import log_pb2

LONGEST_LINE_BYTES = 64 * 1024

LEVELS = {"warn": "WARNING", "critical": "ERROR", "fatal": "ERROR", "trace": "DEBUG"}
"""Other programs' names for the contract's levels."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line, and where to continue behind it."""

    line: log_pb2.LogLine
    cursor: str = ""
    """Empty in a log that can only be replayed, and within a record of several lines."""
    is_whole: bool = True
    """False where the same record goes on in the next line."""


async def read_log(connector: PlatformConnector, job_id: str, cursor: str) -> AsyncGenerator[LogEntry, None]:
    """Yield the lines behind `cursor`, or from the first one where the connector can only replay."""
    if overrides(connector, "stream_logs_from"):
        async with walking(connector.stream_logs_from(job_id, cursor)) as records:
            async for record in records:
                for entry in _of_record(record):
                    yield entry
        return
    # Nobody knows which line of a log is the first that comes.
    folder, seq, step = LineFolder(), 0, 0 if connector.log_source == "tail_only" else 1
    async with walking(connector.stream_logs(job_id)) as items:
        async for item in items:
            for text in folder.feed(item):
                seq += step
                yield LogEntry(_line(text, seq))
    if folder.is_torn and not has_ended(to_observation(await connector.get_job_status(job_id))):
        # A stream that was cut in the middle of a line; the next one has it whole.
        return
    for text in folder.finish():
        seq += step
        yield LogEntry(_line(text, seq))


def _of_record(record: LogRecord) -> list[LogEntry]:
    folder = LineFolder()
    texts = [*folder.feed(record.text), *folder.finish()]
    lines = [_detailed(_line(text, 0), record) for text in texts]
    return [*(LogEntry(line, is_whole=False) for line in lines[:-1]), LogEntry(lines[-1], record.cursor)]


def _line(text: str, seq: int) -> log_pb2.LogLine:
    whole = clean(text)
    if len(whole) * 4 <= LONGEST_LINE_BYTES or len(data := whole.encode()) <= LONGEST_LINE_BYTES:
        return log_pb2.LogLine(seq=seq, text=whole, stream=log_pb2.LOG_STREAM_STDOUT, attempt=1)
    kept = data[:LONGEST_LINE_BYTES].decode("utf-8", "ignore")
    return log_pb2.LogLine(seq=seq, text=kept, stream=log_pb2.LOG_STREAM_STDOUT, attempt=1, truncated=True)


def _detailed(line: log_pb2.LogLine, record: LogRecord) -> log_pb2.LogLine:
    line.stream = log_pb2.LogStream.Value(f"LOG_STREAM_{record.stream.upper()}")
    line.attempt, line.rank = record.attempt, record.rank
    level = f"LOG_LEVEL_{LEVELS.get(record.level.lower(), record.level.upper())}"
    if level in log_pb2.LogLevel.keys():  # noqa: SIM118 - the enum itself is no container
        line.level = log_pb2.LogLevel.Value(level)
    stamp = to_timestamp(record.time)
    if stamp is not None:
        line.time.CopyFrom(stamp)
    return line
