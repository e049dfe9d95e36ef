"""Reads a job's log from a connector."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from google.protobuf.unknown_fields import UnknownFieldSet

from gateway.errors import PlatformTimeout
from gateway.platform import SourceBatch
from gateway.plugins import streams
from gateway.plugins.calls import Caller
from gateway.priority import Priority
from peftstudio.connector.v1 import connector_service_pb2 as pb


async def read(caller: Caller, platform_job_id: str, cursor: str, after_line: int) -> AsyncGenerator[SourceBatch, None]:
    """Yield what a log has behind a cursor or line; ends without `is_end` where the stream was cut.

    Raises:
        ConnectorDown: There is no process that could be asked, or it died while it sent.

    """
    client = await caller.client()
    request = pb.StreamLogsRequest(
        connection_id=caller.connection_id, platform_job_id=platform_job_id, cursor=cursor, after_line=after_line
    )
    try:
        async with aclosing(
            streams.read(caller, client, lambda stub: stub.StreamLogs, request, Priority.READ)
        ) as messages:
            async for message in messages:
                # A sign of life has none of these; it has done its work when it came.
                if message.lines or message.cursor or message.end:
                    yield batch_of(message)
    except PlatformTimeout:
        return


def batch_of(message: pb.StreamLogsResponse) -> SourceBatch:
    """Take a message as it came; it has nothing but its lines then."""
    cursor, is_end = message.cursor, message.end
    # With nothing but lines it is such a message as is stored and sent to followers.
    message.ClearField("cursor")
    message.ClearField("end")
    # What a newer connector says besides would be no line.
    return SourceBatch(message.lines, cursor, is_end, None if UnknownFieldSet(message) else message.SerializeToString)
