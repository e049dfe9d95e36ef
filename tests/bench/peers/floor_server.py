"""The least that answers at all: gRPC calls with what they sent, and sockets with so many bytes.

`floor_server.py PORT SOCKET_PORT`.
"""

from __future__ import annotations

import asyncio
import sys

import grpc
from grpc import aio

METHOD = "/bench.Floor/Echo"
PIECE = bytes(1024 * 1024)
REQUEST_BYTES = 8
"""How many bytes are wanted, as a whole number."""


class Echo(grpc.GenericRpcHandler):
    """Answers every call with its request."""

    def service(self, _: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Give the one handler."""

        async def echo(request: bytes, _: object) -> bytes:
            return request

        return grpc.unary_unary_rpc_method_handler(echo)


async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send as many bytes as each request wants."""
    while request := await reader.read(REQUEST_BYTES):
        left = int.from_bytes(request, "big")
        while left:
            piece = PIECE[:left]
            writer.write(piece)
            await writer.drain()
            left -= len(piece)
    writer.close()


async def main(port: str, socket_port: str) -> None:
    """Serve until the process is ended."""
    await asyncio.start_server(send, "127.0.0.1", int(socket_port))
    server = aio.server()
    server.add_generic_rpc_handlers((Echo(),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
