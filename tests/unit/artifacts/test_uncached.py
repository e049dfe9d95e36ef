"""Bytes of large files that pass by the page cache."""

from __future__ import annotations

import hashlib
import mmap
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.artifacts.part import Part
from gateway.artifacts.uncached import BLOCK_BYTES, UncachedWriter, read

pytestmark = pytest.mark.unit
MIB = 1024**2
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux what is in its page cache")


def is_cached(path: Path, offset: int) -> bool:
    """Whether a byte can be had without asking the disk."""
    with path.open("rb") as file:
        try:
            return os.preadv(file.fileno(), [bytearray(1)], offset, os.RWF_NOWAIT) == 1
        except BlockingIOError:
            return False


def passes_by(folder: Path) -> bool:
    """Whether the file system of the folder has files past the page cache."""
    path = folder / "probe"
    path.touch()
    writer = UncachedWriter(path)
    try:
        return writer.write(memoryview(bytes(BLOCK_BYTES)), 0) == BLOCK_BYTES and not is_cached(path, 0)
    finally:
        writer.close()


def write_in_stretches(path: Path, stretches: Sequence[Sequence[bytes]], cached_bytes: int) -> Part:
    """Write each stretch in another life of the gateway."""
    for pieces in stretches:
        part = Part(path, cached_bytes)
        part.open()
        for data in pieces:
            part.write([data])
            assert part.read(part.size - len(data), len(data)) == data
        part.close()
    return part


SIZES = st.lists(
    st.integers(1, 9000) | st.sampled_from([BLOCK_BYTES, 64 * BLOCK_BYTES, MIB + 1]), min_size=1, max_size=6
)


@settings(max_examples=60, deadline=None)
@given(st.lists(SIZES, min_size=1, max_size=3), st.sampled_from([0, 1, 5000, 2 * BLOCK_BYTES, MIB]))
def test_a_file_is_the_bytes_that_came_however_they_were_cut(stretches: list[list[int]], cached_bytes: int) -> None:
    pieces = [[os.urandom(size) for size in sizes] for sizes in stretches]
    whole = b"".join(data for stretch in pieces for data in stretch)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a"
        part = write_in_stretches(path, pieces, cached_bytes)
        assert path.read_bytes() == whole
        assert part.sha256 == hashlib.sha256(whole).hexdigest()


@needs_linux
def test_only_the_beginning_of_a_large_file_stays_in_the_page_cache(tmp_path: Path) -> None:
    if not passes_by(tmp_path):
        pytest.skip("the file system has all files in memory")
    path = tmp_path / "a"
    part = Part(path, MIB // 2)
    part.open()
    part.write([bytes(MIB)])
    part.close()
    assert is_cached(path, 0)
    assert not is_cached(path, MIB - 1)
    assert path.read_bytes() == bytes(MIB)


@needs_linux
def test_what_a_reader_has_passed_leaves_the_page_cache_but_for_the_beginning(tmp_path: Path) -> None:
    if not passes_by(tmp_path):
        pytest.skip("the file system has all files in memory")
    path, size = tmp_path / "a", 32 * MIB
    path.write_bytes(bytes(size))
    with path.open("rb") as file:
        os.fsync(file.fileno())
        got = [read(file.fileno(), MIB, offset, 8 * MIB) for offset in range(0, size, MIB)]
    assert b"".join(got) == bytes(size)
    assert is_cached(path, 0)
    assert not is_cached(path, size // 2)


@needs_linux
def test_where_the_system_cannot_write_so_it_takes_nothing() -> None:
    # Files of the kernel are of no disk.
    writer = UncachedWriter(Path("/proc/self/comm"))
    assert writer.write(memoryview(mmap.mmap(-1, BLOCK_BYTES)), 0) == 0
    writer.close()


def test_odd_offsets_and_odd_bytes_are_left_to_others(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.touch()
    writer = UncachedWriter(path)
    data = memoryview(bytes(BLOCK_BYTES + 1))
    assert writer.write(data, 1) == 0
    assert writer.write(data[:-2], 0) == 0
    assert writer.write(data, 0) in (0, BLOCK_BYTES)
    writer.close()
    assert writer.write(data, 0) == 0
