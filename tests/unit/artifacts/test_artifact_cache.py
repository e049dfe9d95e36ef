from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.artifacts.model import ArtifactState, Dataset
from gateway.store.database import Database
from gateway.store.uploads import UploadStore
from tests.unit.artifacts.conftest import make_bench

pytestmark = pytest.mark.unit


async def test_copies_that_were_not_read_for_long_make_room_and_datasets_stay(
    tmp_path: Path, database: Database
) -> None:
    bench = await make_bench(tmp_path, database, quota_bytes=25)
    found = {name: bench.platform.put(name, name.encode() * 10) for name in "abcd"}

    async def read(name: str) -> None:
        async for _ in (await bench.artifacts.fetch("job-1", name)).pieces:
            pass

    await read("a")
    dataset = Dataset(sha256=found["a"].sha256, name="a.jsonl", size=10, created_at=bench.clock.now())
    await UploadStore(database).add_dataset(dataset)
    await read("b")
    for age, name in enumerate("ab"):
        os.utime(bench.blobs.path(found[name].sha256), (age, age))
    await read("c")
    present = [name for name in "abc" if await bench.blobs.has(found[name].sha256)]
    assert present == ["a", "c"]
    states = {artifact.id: artifact.state for artifact in await bench.artifacts.list("job-1")}
    assert (states["b"], states["c"]) == (ArtifactState.REMOTE, ArtifactState.VERIFIED)
    await read("b")
    await bench.artifacts.close()
