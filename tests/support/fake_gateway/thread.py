"""The fake gateway for tests that block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.fake_gateway.server import FakeGateway

START_SECONDS = 10.0
"""Starting takes milliseconds; ten seconds mean that it never will."""


@contextmanager
def running_fake_gateway(data_dir: Path) -> Iterator[FakeGateway]:
    """Run a fake gateway in a thread with an event loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    gateway = asyncio.run_coroutine_threadsafe(_started(data_dir), loop).result(START_SECONDS)
    try:
        yield gateway
    finally:
        asyncio.run_coroutine_threadsafe(gateway.stop(), loop).result(START_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(START_SECONDS)
        loop.close()


async def _started(data_dir: Path) -> FakeGateway:
    gateway = FakeGateway(data_dir)
    await gateway.start()
    return gateway
