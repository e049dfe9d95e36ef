from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.artifacts.model import Artifact, ArtifactKind, ArtifactState, Dataset, Upload, UploadPurpose
from gateway.connections.model import Connection, ConnectionState
from gateway.paging import PageRequest
from gateway.store.artifacts import ArtifactStore
from gateway.store.connections import ConnectionStore, NameTaken
from gateway.store.connectors import DisabledConnectors
from gateway.store.database import Database
from gateway.store.uploads import UploadStore

pytestmark = pytest.mark.unit
NOW = datetime(2027, 1, 1, microsecond=1, tzinfo=UTC)


async def test_connections_come_back_as_they_were_kept(database: Database) -> None:
    store = ConnectionStore(database)
    kept = Connection(
        id="conn-1",
        connector_id="c",
        name="n",
        created_at=NOW,
        account="a",
        state=ConnectionState.NEEDS_AUTH,
        message="m",
        verified_at=NOW,
    )
    await store.add(kept, b"sealed")
    assert await store.get("n") == kept
    assert await store.sealed("conn-1") == b"sealed"
    with pytest.raises(NameTaken):
        await store.add(Connection(id="conn-2", connector_id="c", name="n", created_at=NOW), b"")
    await store.remove("conn-1")
    await store.save(kept)
    assert await store.get("conn-1") is None


async def test_an_id_comes_before_an_equal_name(database: Database) -> None:
    store = ConnectionStore(database)
    for connection_id, name in (("x", "y"), ("y", "x")):
        await store.add(Connection(id=connection_id, connector_id="c", name=name, created_at=NOW), b"")
    found = await store.get("y")
    assert found is not None
    assert found.id == "y"


async def test_artifacts_come_back_as_they_were_kept(database: Database) -> None:
    store = ArtifactStore(database)
    kept = Artifact(
        id="1",
        path="a",
        kind=ArtifactKind.ADAPTER,
        size=2**40,
        sha256="s",
        etag="e",
        state=ArtifactState.VERIFIED,
        unsafe=True,
    )
    bare = Artifact(id="2", path="b")
    await store.replace({"job-1": [bare, kept], "job-3": [bare]})
    await store.save("job-2", bare)
    assert await store.list("job-1") == [kept, bare]
    assert await store.lists(["job-1", "job-3", "job-4"]) == {"job-1": [kept, bare], "job-3": [bare], "job-4": []}
    assert await store.get("job-2", "2") == bare
    assert await store.get("job-2", "1") is None
    assert await store.uses("s")
    await store.replace({"job-1": []})
    assert await store.list("job-1") == []
    assert await store.list("job-3") == [bare]
    assert not await store.uses("s")


async def test_uploads_and_datasets_come_back_as_they_were_kept(database: Database) -> None:
    store = UploadStore(database)
    upload = Upload(
        id="u", purpose=UploadPurpose.DATASET, name="n", size=3, sha256="s", connection_id="c", metadata='{"a": 1}'
    )
    dataset = Dataset(sha256="s", name="n", size=3, created_at=NOW)
    for _ in range(2):
        await store.save(upload, NOW)
        await store.add_dataset(dataset)
    assert await store.get("u") == upload
    assert await store.dataset("s") == dataset
    assert await store.datasets(PageRequest.parse(0, "")) == ([dataset], "")
    assert await store.uses("s")
    await store.remove_dataset("s")
    assert await store.get("u") is None
    assert not await store.uses("s")


async def test_disabled_connectors_are_replaced_as_a_whole(database: Database) -> None:
    store = DisabledConnectors(database)
    assert await store.load() == frozenset()
    await store.save({"a", "b"})
    await store.save({"b", "c"})
    assert await store.load() == {"b", "c"}
    await store.save(set())
    assert await store.load() == frozenset()


async def test_datasets_are_listed_newest_first_in_pages_that_stay_right_while_more_come(database: Database) -> None:
    store = UploadStore(database)

    async def add(number: int) -> str:
        # Two each came at the same time.
        made = NOW + timedelta(seconds=number // 2)
        await store.add_dataset(Dataset(sha256=f"{number:064x}", name="n", size=1, created_at=made))
        return f"{number:064x}"

    wanted = [await add(number) for number in (8, 9, 6, 7, 4, 5, 2, 3, 0, 1)]
    seen: list[str] = []
    token = ""
    while token or not seen:
        found, token = await store.datasets(PageRequest.parse(3, token))
        seen += [dataset.sha256 for dataset in found]
        await add(100 + len(seen))
    assert seen == wanted
