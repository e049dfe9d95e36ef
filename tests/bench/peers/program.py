"""A peer's process: started, waited for until it listens, and ended."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

START_SECONDS = 60.0
"""Until a peer listens; a cold import of a large package takes half of it on a busy machine."""
STOP_SECONDS = 10.0


@asynccontextmanager
async def program(
    command: Sequence[str], port: int, folder: Path, environment: Mapping[str, str] | None = None
) -> AsyncIterator[int]:
    """Run a program for as long as the block is entered, and give its process id once it listens at the port."""
    log = folder / "peer.log"
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: ASYNC220 - it takes a millisecond, and nothing else is under way
            list(command), cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _listens(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, f"{command[0]} does not listen: {log.read_text()}"
            await asyncio.sleep(0.02)
        yield process.pid
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """Return a port of the loopback interface that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
