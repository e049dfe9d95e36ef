"""A connector started by hand: what docs/protocol.md says a gateway does, and nothing more."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from peftstudio.connector.v1.connector_service_pb2_grpc import ConnectorServiceStub

if TYPE_CHECKING:
    from peftstudio.connector.v1.connector_service_pb2_grpc import ConnectorServiceAsyncStub

GATEWAY_TOKEN = "gateway-8e1f"
CONNECTOR_TOKEN = "connector-22c9"
ON_THREE = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.execvp(sys.argv[2], sys.argv[2:])"
"""Becomes a program that has our pipe as its descriptor 3."""
LIMIT = 20.0
"""Seconds: for a start, an answer or an end, on a loaded machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """A process, and the line that it wrote on descriptor 3."""

    process: subprocess.Popen[bytes]
    handshake: dict[str, object]
    socket: Path

    async def ended(self) -> int:
        """Wait for its end and return its exit code."""
        return await asyncio.to_thread(self.process.wait, LIMIT)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[grpc.aio.Channel, ConnectorServiceAsyncStub]]:
        async with grpc.aio.insecure_channel(f"unix:{self.socket}") as channel:
            yield channel, ConnectorServiceStub(channel)


@asynccontextmanager
async def launched(command: Sequence[str], folder: Path, **bootstrap: object) -> AsyncIterator[Launched]:
    """Start a connector, and leave nothing of it behind."""
    socket = folder / "s.sock"
    read, write = os.pipe()
    process = subprocess.Popen(  # noqa: ASYNC220 - it takes a millisecond, and the test waits for it anyway
        [sys.executable, "-c", ON_THREE, str(write), *command],
        stdin=subprocess.PIPE,
        pass_fds=(write,),
        cwd=folder,
        env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        start_new_session=True,
    )
    os.close(write)
    try:
        assert process.stdin is not None
        process.stdin.write(json.dumps(_bootstrap(socket, folder) | bootstrap).encode() + b"\n")
        process.stdin.flush()
        with os.fdopen(read, "rb") as pipe:
            line = await asyncio.wait_for(asyncio.to_thread(pipe.readline), LIMIT)
            yield Launched(process=process, handshake=json.loads(line), socket=socket)
    finally:
        process.kill()
        process.wait(LIMIT)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close() if process.stdin else None


def _bootstrap(socket: Path, folder: Path) -> dict[str, object]:
    return {
        "version": 1,
        "instance_id": "workbench",
        "generation": 1,
        "socket": str(socket),
        "gateway_token": GATEWAY_TOKEN,
        "connector_token": CONNECTOR_TOKEN,
        "protocols": [1],
        "log_level": "INFO",
        "work_dir": str(folder),
        "a_key_of_later_years": {"is": "ignored"},
    }


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)
