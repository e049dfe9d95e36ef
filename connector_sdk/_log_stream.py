"""Send the logs of jobs, and say whether they have ended."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from connector_sdk._log_buffer import LogBuffer
from connector_sdk._log_lines import LogEntry, read_log
from connector_sdk._observation import has_ended, to_observation
from connector_sdk.connector import PlatformConnector
from peftstudio.connector.v1 import connector_service_pb2 as pb

HEARTBEAT_SECONDS = 10.0  # the protocol's longest silence


class LogStreams:
    """The logs that are being followed."""

    def __init__(self, heartbeat_seconds: float) -> None:
        """Give a sign of life after `heartbeat_seconds` without a line."""
        self._heartbeat_seconds = heartbeat_seconds
        self._open: set[LogBuffer] = set()

    async def stream(
        self, connector: PlatformConnector, job_id: str, cursor: str
    ) -> AsyncGenerator[pb.StreamLogsResponse, None]:
        """Yield batches; `end` comes only where the job has ended too, since a dropped socket ends an iterator too."""
        buffer = LogBuffer(self._heartbeat_seconds)
        self._open.add(buffer)
        try:
            async with buffer.filled_from(read_log(connector, job_id, cursor)):
                while (batch := await buffer.next_batch()) is not None:
                    yield _message(batch)
        finally:
            self._open.discard(buffer)
        if not buffer.is_cut and has_ended(to_observation(await connector.get_job_status(job_id))):
            yield pb.StreamLogsResponse(end=True)

    def cut(self) -> None:
        """Let every stream end here, to be continued with the next process; a drain need not wait for them."""
        for buffer in list(self._open):
            buffer.cut()


def _message(batch: list[LogEntry]) -> pb.StreamLogsResponse:
    cursor = next((entry.cursor for entry in reversed(batch) if entry.cursor), "")
    return pb.StreamLogsResponse(lines=[entry.line for entry in batch], cursor=cursor)
