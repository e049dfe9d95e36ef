from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.launched import PATIENCE_SECONDS, is_alive

pytestmark = pytest.mark.process

GATEWAY = """
import asyncio, sys
from pathlib import Path
from tests.support.launched import Bench

async def main() -> None:
    async with Bench(Path(sys.argv[1])) as bench:
        print((await bench.ready()).pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def is_gone(pid: int) -> bool:
    # Whoever inherits an orphan here may leave it a zombie.
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def launch_gateway(data_dir: Path, runtime_dir: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", GATEWAY, str(data_dir)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "XDG_RUNTIME_DIR": runtime_dir},
    )


@pytest.fixture
def runtime_dir() -> Iterator[str]:
    # A killed gateway leaves its sockets for the next one, and here there is no next one.
    with tempfile.TemporaryDirectory(prefix="p") as folder:
        yield folder


async def test_a_connector_ends_when_its_gateway_is_killed(tmp_path: Path, runtime_dir: str) -> None:
    gateway = launch_gateway(tmp_path, runtime_dir)
    try:
        assert gateway.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            pid = int(await asyncio.to_thread(gateway.stdout.readline))
        assert is_alive(pid)
    finally:
        gateway.send_signal(signal.SIGKILL)
        gateway.communicate(timeout=PATIENCE_SECONDS)
    await _until_gone(pid)


async def _until_gone(pid: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        # Nobody tells of the end of a process that is not one's child.
        while not is_gone(pid):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
