"""A connector's log without an SDK: lines made beforehand, so many a message.

`line_server.py PORT LINES PER_MESSAGE [stored]`: with the last word the messages are encoded beforehand, too, which is
the least that a server can do which sends what it has stored.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import grpc
from grpc import aio

from peftstudio.connector.v1.connector_service_pb2 import StreamLogsResponse
from peftstudio.job.v1.log_pb2 import LOG_STREAM_STDOUT, LogLine

METHOD = "/peftstudio.connector.v1.ConnectorService/StreamLogs"


class Lines(grpc.GenericRpcHandler):
    """Answers every method with the lines."""

    def __init__(self, lines: int, per_message: int, *, is_stored: bool) -> None:
        messages = [
            StreamLogsResponse(lines=[_line(number, lines) for number in range(first, first + per_message)])
            for first in range(1, lines + 1, per_message)
        ]
        self._stored = [message.SerializeToString() for message in messages] if is_stored else []
        self._messages = [] if is_stored else messages

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Give the one handler."""

        async def stream(_: bytes, __: object) -> AsyncIterator[bytes]:
            for data in self._stored:
                yield data
            for message in self._messages:
                yield message.SerializeToString()

        return grpc.unary_stream_rpc_method_handler(stream)


def _line(number: int, lines: int) -> LogLine:
    line = LogLine(seq=number, stream=LOG_STREAM_STDOUT, attempt=1, text=f"line {number} of {lines}")
    line.time.FromNanoseconds(1_800_000_000_123_456_789)
    return line


async def main(port: str, lines: str, per_message: str, *words: str) -> None:
    """Serve until the process is ended."""
    server = aio.server()
    server.add_generic_rpc_handlers((Lines(int(lines), int(per_message), is_stored="stored" in words),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
