"""A gateway that dies at every step of an upload that leaves something on the disk, before it and behind it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.artifacts import uploads
from gateway.artifacts.blobs import Blobs
from gateway.artifacts.model import Piece
from gateway.artifacts.upload_file import publish
from gateway.paging import PageRequest
from gateway.store.database import Database
from gateway.store.sqlite import SQLite
from gateway.store.uploads import UploadStore
from tests.support.fake_platform import FakePlatform
from tests.unit.artifacts.conftest import Bench, make_bench
from tests.unit.artifacts.test_uploads import DATA, order, send

pytestmark = pytest.mark.unit

CHUNK = len(DATA) // 3 + 1


class Killed(Exception):
    """Raised in place of each step from the death on: what is dead does nothing."""


class Life:
    """One life of a gateway, which may end at a step."""

    def __init__(self) -> None:
        self.steps = 0
        self.dies_at = 0
        """0 = never."""
        self.is_late = False
        self.is_dead = False

    def begin(self, dies_at: int = 0, *, is_late: bool = False) -> None:
        self.steps, self.dies_at, self.is_late, self.is_dead = 0, dies_at, is_late, False

    def step(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap what blocks."""

        @functools.wraps(work)
        def stepped(*args: Any, **kwargs: Any) -> Any:
            self._before()
            result = work(*args, **kwargs)
            self._behind()
            return result

        return stepped

    def async_step(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap what is awaited."""

        @functools.wraps(work)
        async def stepped(*args: Any, **kwargs: Any) -> Any:
            self._before()
            result = await work(*args, **kwargs)
            self._behind()
            return result

        return stepped

    def _before(self) -> None:
        self.steps += 1
        self.is_dead = self.is_dead or (self.steps == self.dies_at and not self.is_late)
        if self.is_dead:
            raise Killed

    def _behind(self) -> None:
        if self.steps == self.dies_at:
            self.is_dead = True
            raise Killed


@pytest.fixture
def life(monkeypatch: pytest.MonkeyPatch) -> Life:
    made = Life()
    for name in ("append", "sync", "keep"):
        monkeypatch.setattr(uploads, name, made.step(getattr(uploads, name)))
    monkeypatch.setattr("gateway.artifacts.datasets.publish", made.step(publish))
    for owner, name in (
        (UploadStore, "save"),
        (UploadStore, "add_dataset"),
        (UploadStore, "note_sent"),
        (FakePlatform, "upload"),
        (Blobs, "delete"),
    ):
        monkeypatch.setattr(owner, name, made.async_step(getattr(owner, name)))
    return made


async def a_life(folder: Path, platform: FakePlatform, purpose: str) -> tuple[Bench, Database, str]:
    """Do what a client does, and does again after a crash."""
    database = await Database.open(SQLite(folder / "ledger.db"))
    bench = await make_bench(folder, database)
    bench.platforms.by_connection["conn-1"] = platform
    wanted = order(purpose=purpose, connection_id="conn-1" if purpose == "ARTIFACT" else "")
    try:
        status = await bench.uploads.start(wanted)
        there = status.committed_offset
        for offset in range(there, len(DATA), CHUNK):
            piece = Piece(offset, DATA[offset : offset + CHUNK])
            there = await bench.uploads.write(status.upload_id, send([piece]))
        return bench, database, await bench.uploads.commit(status.upload_id)
    except Killed:
        await database.close()
        raise


@pytest.mark.parametrize("purpose", ["DATASET", "ARTIFACT"])
async def test_an_upload_ends_whole_at_whichever_step_the_gateway_dies(
    tmp_path: Path, life: Life, purpose: str
) -> None:
    life.begin()
    _, database, _ = await a_life(fresh(tmp_path / "whole"), FakePlatform(), purpose)
    await database.close()
    steps = life.steps
    assert steps >= 8
    for dies_at in range(1, steps + 1):
        for is_late in (False, True):
            folder, platform = fresh(tmp_path / f"{dies_at}-{is_late}"), FakePlatform()
            life.begin(dies_at, is_late=is_late)
            with pytest.raises(Killed):
                await a_life(folder, platform, purpose)
            life.begin()
            bench, database, uri = await a_life(folder, platform, purpose)
            await check(bench, platform, purpose, uri)
            await database.close()


async def check(bench: Bench, platform: FakePlatform, purpose: str, uri: str) -> None:
    assert bench.parts() == []
    kept, _ = await bench.datasets.list(PageRequest.parse(10, ""))
    if purpose == "DATASET":
        assert [dataset.uri for dataset in kept] == [uri]
        assert (await bench.datasets.resolve(uri)).read_bytes() == DATA
        return
    assert kept == []
    assert platform.uploads == {"train.jsonl": DATA}
    # A registry that took it and a gateway that died before it was noted: it is sent once more, and no more than that.
    assert 1 <= platform.count("upload") <= 2
    assert not await bench.blobs.has(order().sha256)


def fresh(folder: Path) -> Path:
    folder.mkdir()
    return folder
