"""Bytes that readers have before they are written."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.artifacts.inflow import MOST_UNWRITTEN_BYTES, RECENT_BYTES, WRITE_BYTES, Inflow
from gateway.artifacts.part import Part
from gateway.errors import StorageFull

pytestmark = pytest.mark.unit
SECONDS = 10.0


class HeldUp(Part):
    """A file on a disk that takes nothing until it is told to, and then is full or not."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.may_write = threading.Event()
        self.is_full = False

    def write(self, pieces: Sequence[bytes]) -> None:
        assert self.may_write.wait(SECONDS)
        if self.is_full:
            raise StorageFull("the disk is full")
        super().write(pieces)


def opened(part: Part) -> Inflow:
    part.open()
    return Inflow(part, lambda: None)


async def take_all(inflow: Inflow, blocks: int) -> None:
    for _ in range(blocks):
        await inflow.take(bytes(WRITE_BYTES))


async def test_readers_have_what_came_although_the_disk_has_not(tmp_path: Path) -> None:
    part = HeldUp(tmp_path / "a")
    inflow = opened(part)
    for number in range(3):
        await inflow.take(bytes([number]) * WRITE_BYTES)
    assert (part.size, inflow.size) == (0, 3 * WRITE_BYTES)
    assert await inflow.read(2 * WRITE_BYTES - 1, None) == b"\x01"
    assert await inflow.read(2 * WRITE_BYTES + 5, 2 * WRITE_BYTES + 8) == b"\x02" * 3
    assert await inflow.read(3 * WRITE_BYTES, None) == b""
    part.may_write.set()
    async with asyncio.timeout(SECONDS):
        await inflow.flush()
    assert part.size == 3 * WRITE_BYTES


async def test_a_slow_disk_slows_the_download_and_memory_does_not_grow(tmp_path: Path) -> None:
    part = HeldUp(tmp_path / "a")
    inflow = opened(part)
    blocks = (MOST_UNWRITTEN_BYTES + WRITE_BYTES) // WRITE_BYTES
    async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as tasks:
        await take_all(inflow, blocks)
        one_more = tasks.create_task(inflow.take(bytes(WRITE_BYTES)))
        await asyncio.wait([one_more], timeout=0.05)
        assert not one_more.done()
        part.may_write.set()
    await take_all(inflow, RECENT_BYTES // WRITE_BYTES)
    await inflow.flush()
    assert await inflow.read(0, 3) == bytes(3)
    assert await inflow.read(inflow.size - 3, None) == bytes(3)


async def test_a_full_disk_is_told_with_the_next_bytes_and_at_the_end(tmp_path: Path) -> None:
    part = HeldUp(tmp_path / "a")
    part.is_full = True
    part.may_write.set()
    inflow = opened(part)
    async with asyncio.timeout(SECONDS):
        with pytest.raises(StorageFull):
            await take_all(inflow, 2 + MOST_UNWRITTEN_BYTES // WRITE_BYTES)
        for _ in range(2):
            with pytest.raises(StorageFull):
                await inflow.flush()
    assert part.size == 0


async def followed(folder: Path, sizes: list[int], offset: int) -> None:
    data = b"".join(bytes([number % 251]) * size for number, size in enumerate(sizes))
    part, came = Part(folder / "a"), asyncio.Event()
    part.open()
    inflow = Inflow(part, came.set)

    async def read() -> bytes:
        found = b""
        while offset + len(found) < len(data):
            came.clear()
            if not (more := await inflow.read(offset + len(found), None)):
                await came.wait()
            found += more
        return found

    async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(read())
        start = 0
        for size in sizes:
            await inflow.take(data[start : start + size])
            start += size
        await inflow.flush()
    assert reading.result() == data[offset:]
    assert part.path.read_bytes() == data
    assert part.sha256 == hashlib.sha256(data).hexdigest()


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.integers(1, 50) | st.sampled_from([WRITE_BYTES - 1, WRITE_BYTES, RECENT_BYTES + 1]), max_size=50),
    st.integers(0, 3 * WRITE_BYTES),
)
def test_what_is_read_meanwhile_and_what_is_on_the_disk_are_the_bytes_that_came(sizes: list[int], offset: int) -> None:
    large = [size for size in sizes if size > 50][:6]
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(followed(Path(folder), [*large[:3], *(size for size in sizes if size <= 50), *large[3:]], offset))
