"""Send the logs of jobs, and say whether they have ended."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import TypeVar

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
        self._cuts: set[Callable[[], None]] = set()

    def stream(self, connector: PlatformConnector, job_id: str, cursor: str) -> AsyncGenerator[bytes, None]:
        """Yield batches in wire format.

        `end` comes only where the job has ended too, since a dropped socket ends an iterator too.
        """

        async def has_job_ended() -> bool:
            return has_ended(to_observation(await connector.get_job_status(job_id)))

        if overrides(connector, "stream_logs_from"):
            return self._read(RecordReading(connector, job_id, cursor), has_job_ended)
        return self._read(TextReading(connector, job_id), has_job_ended)

    async def _read(
        self, reading: Reading[Item], has_job_ended: Callable[[], Awaitable[bool]]
    ) -> AsyncGenerator[bytes, None]:
        buffer = LogBuffer(reading)
        self._cuts.add(buffer.cut)
        try:
            async with buffer.filled(), aclosing(self._messages(buffer)) as messages:
                async for message in messages:
                    yield message
        finally:
            self._cuts.discard(buffer.cut)
        if buffer.is_cut:
            return
        for message in reading.rest(is_end=False):
            yield message
        if await has_job_ended():
            for message in reading.rest(is_end=True):
                yield message
            yield pb.StreamLogsResponse(end=True).SerializeToString()

    async def _messages(self, buffer: LogBuffer[Item]) -> AsyncGenerator[bytes, None]:
        """Yield what comes, and a sign of life when nothing does, or nothing but a line that does not end."""
        due = time.monotonic() + self._heartbeat_seconds
        while (messages := await buffer.next_messages(due - time.monotonic())) is not None:
            if not messages and time.monotonic() >= due:
                messages = (b"",)
            for message in messages:
                yield message
                due = time.monotonic() + self._heartbeat_seconds

    def cut(self) -> None:
        """Let every stream end here, to be continued with the next process; a drain need not wait for them."""
        for cut in list(self._cuts):
            cut()
