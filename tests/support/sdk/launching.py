"""Start a connector process the way the gateway does."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from connector_sdk._client_tokens import token_interceptors
from connector_sdk._options import CHANNEL_OPTIONS

GATEWAY_TOKEN = "gateway-token-" + "g" * 30
CONNECTOR_TOKEN = "connector-token-" + "c" * 30
WAIT_SECONDS = 20.0  # for anything a process does, on a busy machine


class Launched:
    """A running connector process: its handshake, and what the gateway would do with it."""

    def __init__(self, process: asyncio.subprocess.Process, handshake: dict[str, Any], socket: Path) -> None:
        self.process = process
        self.handshake = handshake
        self.socket = socket

    def cut_lifeline(self) -> None:
        """Do what the death of the gateway does."""
        assert self.process.stdin
        self.process.stdin.close()

    def stop_reading(self) -> None:
        """Close what the gateway reads the output from."""
        output = self.process._transport.get_pipe_transport(1)  # type: ignore[attr-defined]
        assert output
        output.close()

    def leave(self) -> None:
        """Do all that the death of the gateway does."""
        self.stop_reading()
        self.cut_lifeline()

    async def exit_code(self) -> int:
        """Wait for the end."""
        async with asyncio.timeout(WAIT_SECONDS):
            return await self.process.wait()

    async def output(self) -> str:
        """Read what was printed, up to the end of the process."""
        assert self.process.stdout
        async with asyncio.timeout(WAIT_SECONDS):
            return (await self.process.stdout.read()).decode()

    def channel(self) -> grpc.aio.Channel:
        """Open a channel with the gateway's token."""
        tokens = token_interceptors(GATEWAY_TOKEN)
        return grpc.aio.insecure_channel(self.handshake["address"], options=CHANNEL_OPTIONS, interceptors=tokens)


@asynccontextmanager
async def launched(
    target: str, folder: Path, *, bootstrap: Mapping[str, object] | None = None, line: bytes | None = None
) -> AsyncIterator[Launched]:
    """Start `python -m connector_sdk serve target`, and kill what is left of it at the end.

    `bootstrap` changes keys of the bootstrap, `line` replaces the whole line.
    """
    said = json.dumps({**_bootstrap(folder), **(bootstrap or {})}).encode() + b"\n"
    reader, writer = os.pipe()
    # A shell moves the pipe to descriptor 3: no code may run between fork and exec beside a running gRPC.
    shell = ["/bin/sh", "-c", f'exec "$@" 3>/dev/fd/{writer}', "sh"]
    process = await asyncio.create_subprocess_exec(
        *(*shell, sys.executable, "-m", "connector_sdk", "serve", target),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        pass_fds=(writer,),
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        start_new_session=True,
    )
    os.close(writer)
    assert process.stdin
    try:
        process.stdin.write(said if line is None else line)
        async with asyncio.timeout(WAIT_SECONDS):
            handshake = await asyncio.to_thread(os.read, reader, 4096)
        yield Launched(process, json.loads(handshake) if handshake else {}, folder / "s")
    finally:
        os.close(reader)
        if process.returncode is None:
            process.kill()
        await process.communicate()


def _bootstrap(folder: Path) -> dict[str, object]:
    return {
        "version": 1,
        "instance_id": "x",
        "generation": 1,
        "socket": str(folder / "s"),
        "gateway_token": GATEWAY_TOKEN,
        "connector_token": CONNECTOR_TOKEN,
        "protocols": [1],
        "work_dir": str(folder),
    }
