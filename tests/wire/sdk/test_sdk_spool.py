"""Readers of one adapter, side by side, of a connector that can only give it whole."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from connector_sdk._spool import ArtifactSpool
from tests.support.sdk.acme_connector import AcmeConnector

pytestmark = pytest.mark.wire

DATA = b"adapter" * 1000


class Slow(AcmeConnector):
    """Gives the adapter once it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.begun = asyncio.Semaphore(0)

    async def fetch_artifact(self, job_id: str) -> bytes:
        self.begun.release()
        await self.gate.wait()
        return DATA


async def _whole(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


async def test_a_reader_that_ends_leaves_the_download_of_a_later_one_alone(tmp_path: Path) -> None:
    connector = Slow()
    spool = ArtifactSpool(connector, tmp_path)
    connector.gate.set()
    first, second = spool.read("job", 0), spool.read("job", 0)
    assert await anext(first) == await anext(second)
    assert not await _whole(first), "the adapter is one piece"

    await connector.begun.acquire()
    connector.gate.clear()
    third = asyncio.create_task(_whole(spool.read("job", 0)))
    async with asyncio.timeout(10):
        await connector.begun.acquire()
    assert not await _whole(second)
    connector.gate.set()
    async with asyncio.timeout(10):
        assert await third == DATA
    await spool.close()
