from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path

import psutil
import pytest

from gateway.artifacts.blobs import Blobs
from gateway.artifacts.model import CHUNK_BYTES
from gateway.errors import NotReady, StorageFull

pytestmark = pytest.mark.unit


async def test_what_downloads_left_long_ago_is_deleted_at_the_start_and_uploads_stay(tmp_path: Path) -> None:
    incoming = (await Blobs.open(tmp_path)).incoming
    for name in ("fill-1.part", "fill-2.part", "upload-1.part"):
        (incoming / name).write_bytes(b"x")
    for name in ("fill-1.part", "upload-1.part"):
        os.utime(incoming / name, (0, 0))
    await Blobs.open(tmp_path)
    assert sorted(path.name for path in incoming.iterdir()) == ["fill-2.part", "upload-1.part"]


async def test_a_part_is_gone_on_with_where_it_was_left(tmp_path: Path) -> None:
    blobs = await Blobs.open(tmp_path)
    for data in (b"half of it, ", b"and the rest"):
        part = blobs.part("1")
        part.open()
        part.write([data])
        part.close()
    assert part.sha256 == hashlib.sha256(b"half of it, and the rest").hexdigest()


def kept(blobs: Blobs, data: bytes) -> str:
    part = blobs.part("1")
    part.open()
    part.write([data])
    part.finish(blobs.path(part.sha256))
    return part.sha256


async def test_a_blob_is_read_in_chunks_from_any_offset(tmp_path: Path) -> None:
    blobs = await Blobs.open(tmp_path)
    data = bytes(CHUNK_BYTES * 2 + 5)
    digest = kept(blobs, data)
    assert digest == hashlib.sha256(data).hexdigest()
    assert await blobs.size(digest) == len(data)
    assert [(piece.offset, len(piece.data)) async for piece in blobs.read(digest, 5)] == [
        (5, CHUNK_BYTES),
        (CHUNK_BYTES + 5, CHUNK_BYTES),
    ]


async def test_a_reader_that_leaves_early_leaves_no_file_open(tmp_path: Path) -> None:
    blobs = await Blobs.open(tmp_path)
    digest = kept(blobs, bytes(CHUNK_BYTES * 3))
    reading = blobs.read(digest)
    await anext(reading)
    opened = {file.path for file in psutil.Process().open_files()}
    await reading.aclose()
    assert str(blobs.path(digest)) in opened
    async with asyncio.timeout(5):
        # What is waited for is in another thread.
        while str(blobs.path(digest)) in {file.path for file in psutil.Process().open_files()}:  # noqa: ASYNC110
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "a" * 63])
async def test_nothing_but_a_checksum_is_a_path_in_the_store(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a SHA-256"):
        Blobs(tmp_path).path(name)


async def test_a_blob_that_has_left_says_to_ask_again(tmp_path: Path) -> None:
    with pytest.raises(NotReady):
        _ = [piece async for piece in Blobs(tmp_path).read("a" * 64)]


async def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "incoming").write_bytes(b"a file where the folder should be")
    with pytest.raises(StorageFull):
        Blobs(tmp_path).part("1").open()
