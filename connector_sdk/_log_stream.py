"""Send the logs of jobs, and say whether they have ended."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from typing import Any, TypeVar

from connector_sdk._log_buffer import LogBuffer
from connector_sdk._log_lines import Reading, RecordReading, TextReading
from connector_sdk._observation import has_ended, to_observation
from connector_sdk.connector import PlatformConnector, overrides
from peftstudio.connector.v1 import connector_service_pb2 as pb

HEARTBEAT_SECONDS = 5.0  # half of the protocol's longest silence: one that is late is still in time

Item = TypeVar("Item")


class LogStreams:
    """The logs that are being followed."""

    def __init__(self, heartbeat_seconds: float) -> None:
        """Give a sign of life after `heartbeat_seconds` without a line."""
        self._heartbeat_seconds = heartbeat_seconds
        self._followed: set[LogBuffer[Any]] = set()

    def stream(self, connector: PlatformConnector, job_id: str, cursor: str) -> AsyncGenerator[bytes, None]:
        """Yield batches in wire format.

        `end` comes only where the job has ended too, since a dropped socket ends an iterator too.
        """
        if overrides(connector, "stream_logs_from"):
            return self._read(RecordReading(connector, job_id, cursor), connector, job_id)
        return self._read(TextReading(connector, job_id), connector, job_id)

    async def _read(
        self, reading: Reading[Item], connector: PlatformConnector, job_id: str
    ) -> AsyncGenerator[bytes, None]:
        buffer = LogBuffer(reading)
        self._followed.add(buffer)
        buffer.start()
        try:
            due = time.monotonic() + self._heartbeat_seconds
            while (messages := await buffer.next_messages(due - time.monotonic())) is not None:
                # A sign of life also where nothing comes but a line that does not end.
                if not messages and time.monotonic() >= due:
                    messages = (b"",)
                for message in messages:
                    yield message
                    due = time.monotonic() + self._heartbeat_seconds
        finally:
            self._followed.discard(buffer)
            await buffer.stop()
        if buffer.is_cut:
            return
        for message in reading.rest(is_end=False):
            yield message
        if has_ended(to_observation(await connector.get_job_status(job_id))):
            for message in reading.rest(is_end=True):
                yield message
            yield pb.StreamLogsResponse(end=True).SerializeToString()

    def cut(self) -> None:
        """Let every stream end here, to be continued with the next process; a drain need not wait for them."""
        for buffer in list(self._followed):
            buffer.cut()
