from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.artifacts.blobs import Blobs
from gateway.artifacts.fill import MAX_FAILURES, Fill
from gateway.artifacts.model import Artifact, ArtifactState, Piece
from gateway.errors import BadOffset, GatewayError, Reason

pytestmark = pytest.mark.unit
DATA = bytes(index * 7 % 251 for index in range(400))


@dataclass
class CutSource:
    """Gives pieces of one size, and cuts reads after as many bytes as it was told."""

    artifact: Artifact
    piece_bytes: int
    cuts: list[int]

    async def refresh(self) -> Artifact:
        return self.artifact

    async def read(self, artifact: Artifact, offset: int) -> AsyncIterator[Piece]:
        end = min(len(DATA), offset + self.cuts.pop(0)) if self.cuts else len(DATA)
        while offset < end:
            data = DATA[offset : min(offset + self.piece_bytes, end)]
            yield Piece(offset, data, len(DATA))
            offset += len(data)
        if end < len(DATA):
            raise GatewayError("cut", reason=Reason.PLATFORM_UNAVAILABLE)


async def settle(artifact: Artifact) -> None:
    assert artifact.state is ArtifactState.VERIFIED


async def no_pause(_seconds: float) -> None:
    return


async def read(fill: Fill, offset: int, length: int) -> bytes | None:
    position, received = offset, b""
    try:
        async for piece in fill.pieces(offset, length, is_pinned=False):
            assert piece.offset == position
            position += len(piece.data)
            received += piece.data
    except BadOffset:
        return None
    return received


async def scenario(folder: Path, source: CutSource, ranges: list[tuple[int, int]]) -> None:
    blobs = await Blobs.open(folder)
    fill = Fill(source.artifact, source, blobs, settle, no_pause, "1")
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        readers = [group.create_task(read(fill, offset, length)) for offset, length in ranges]
        group.create_task(fill.run())
    for (offset, length), reader in zip(ranges, readers, strict=True):
        wanted = DATA[offset : offset + length] if length else DATA[offset:]
        assert reader.result() == (wanted if offset <= len(DATA) else None)
    assert fill.artifact.sha256 == hashlib.sha256(DATA).hexdigest()
    assert list(blobs.incoming.iterdir()) == []


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 150),
    st.lists(st.integers(0, 200), max_size=MAX_FAILURES),
    st.lists(st.tuples(st.integers(0, 420), st.integers(0, 420)), min_size=1, max_size=5),
)
def test_every_range_is_exact_however_the_download_is_cut(
    piece_bytes: int, cuts: list[int], ranges: list[tuple[int, int]]
) -> None:
    source = CutSource(Artifact(id="a", path="a.log"), piece_bytes, cuts)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(scenario(Path(folder), source, ranges))
