"""The least that forwards gRPC calls in Python: no bytes are decoded, nothing is checked. `proxy.py PORT UPSTREAM`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import grpc
from grpc import aio

from tests.bench.load import raw_call, raw_stream

STREAMS = ("/StreamLogs", "/FetchArtifact")


class Forward(grpc.GenericRpcHandler):
    """Forwards every method to one channel."""

    def __init__(self, channel: aio.Channel) -> None:
        self._channel = channel

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Give a handler that hands the bytes on."""
        method, metadata = details.method, tuple(details.invocation_metadata)
        passed = tuple(pair for pair in metadata if pair[0] == "authorization")
        if method.endswith(STREAMS):
            stream = raw_stream(self._channel, method)

            async def many(request: bytes, _: object) -> AsyncIterator[bytes]:
                async for message in stream(request, metadata=passed):
                    yield message

            return grpc.unary_stream_rpc_method_handler(many)
        call = raw_call(self._channel, method)

        async def one(request: bytes, _: object) -> bytes:
            return await call(request, metadata=passed)

        return grpc.unary_unary_rpc_method_handler(one)


async def main(port: str, upstream: str) -> None:
    """Serve until the process is ended."""
    async with aio.insecure_channel(upstream) as channel:
        server = aio.server()
        server.add_generic_rpc_handlers((Forward(channel),))
        server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
