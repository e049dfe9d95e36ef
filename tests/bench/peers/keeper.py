"""The least that keeps a file while it passes: received, hashed, written, sent on. `keeper.py PORT UPSTREAM FOLDER`.

Nothing is decoded or checked, and nobody could read the file meanwhile or go on with it.
"""

from __future__ import annotations

import asyncio
import hashlib
import mmap
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
from grpc import aio

from tests.bench.load import raw_stream

MOST_BYTES = 4 * 1024 * 1024
"""More than any message has."""
BLOCK_BYTES = 4096


class Kept:
    """One file, hashed and written past the page cache, which costs less than any other way."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_DIRECT", 0), 0o600)
        # Nobody reads it; it is gone with its descriptor.
        path.unlink()
        self._buffer = mmap.mmap(-1, MOST_BYTES)
        self._digest = hashlib.sha256()
        self._size = 0

    def add(self, message: bytes) -> None:
        """Keep a message but for its odd bytes: such files take whole blocks."""
        self._digest.update(message)
        size = len(message) // BLOCK_BYTES * BLOCK_BYTES
        self._buffer[:size] = message[:size] if size < len(message) else message
        with memoryview(self._buffer) as view, view[:size] as whole:
            self._size += os.pwrite(self._descriptor, whole, self._size)

    def end(self) -> None:
        """Make it durable."""
        self._digest.hexdigest()
        os.fsync(self._descriptor)
        os.close(self._descriptor)


class Keep(grpc.GenericRpcHandler):
    """Forwards streams, and keeps what comes."""

    def __init__(self, channel: aio.Channel, folder: Path) -> None:
        self._channel = channel
        self._folder = folder

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Give a handler that hands the bytes on, and keeps one message while it waits for the next."""
        stream = raw_stream(self._channel, details.method)
        passed = tuple(pair for pair in details.invocation_metadata if pair[0] == "authorization")

        async def many(request: bytes, _: object) -> AsyncIterator[bytes]:
            kept = Kept(self._folder / "kept")
            keeping = asyncio.ensure_future(asyncio.sleep(0))
            async for message in stream(request, metadata=passed):
                await keeping
                keeping = asyncio.ensure_future(asyncio.to_thread(kept.add, message))
                yield message
            await keeping
            await asyncio.to_thread(kept.end)

        return grpc.unary_stream_rpc_method_handler(many)


async def main(port: str, upstream: str, folder: str) -> None:
    """Serve until the process is ended."""
    async with aio.insecure_channel(upstream) as channel:
        server = aio.server()
        server.add_generic_rpc_handlers((Keep(channel, Path(folder)),))
        server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
