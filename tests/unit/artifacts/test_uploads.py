from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.artifacts.blobs import ABANDONED_AFTER
from gateway.artifacts.model import Piece, UploadPurpose
from gateway.artifacts.upload_checks import UploadOrder
from gateway.errors import BadOffset, ChecksumMismatch, InvalidRequest, NotFound, StorageFull, WrongState
from gateway.paging import PageRequest
from gateway.store.database import Database
from gateway.store.sqlite import SQLite
from tests.unit.artifacts.conftest import Bench, make_bench

pytestmark = pytest.mark.unit
DATA = b"".join(b'{"text": "line %d"}\n' % number for number in range(5000))


def order(data: bytes = DATA, **changes: str) -> UploadOrder:
    made = UploadOrder(
        purpose=UploadPurpose(changes.get("purpose", "DATASET")),
        name=changes.get("name", "train.jsonl"),
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )
    return replace(made, connection_id=changes.get("connection_id", ""))


async def send(pieces: Sequence[Piece], cut: Exception | None = None) -> AsyncIterator[Piece]:
    for piece in pieces:
        yield piece
    if cut:
        raise cut


async def upload(bench: Bench, wanted: UploadOrder, data: bytes = DATA) -> str:
    status = await bench.uploads.start(wanted)
    await bench.uploads.write(status.upload_id, send([Piece(status.committed_offset, data[status.committed_offset :])]))
    return await bench.uploads.commit(status.upload_id)


async def test_a_dataset_is_found_under_a_name_with_its_suffix(bench: Bench) -> None:
    uri = await upload(bench, order())
    path = await bench.datasets.resolve(uri)
    assert uri == f"upload://{hashlib.sha256(DATA).hexdigest()}"
    assert path.name == "train.jsonl"
    assert path.read_bytes() == DATA
    assert bench.parts() == []


async def test_the_same_file_gets_the_same_upload_and_need_not_be_sent_twice(bench: Bench) -> None:
    first = await bench.uploads.start(order())
    assert (await bench.uploads.start(order())).upload_id == first.upload_id
    await upload(bench, order())
    again = await bench.uploads.start(order())
    assert (again.already_present, again.committed_offset) == (True, len(DATA))
    assert await bench.uploads.commit(again.upload_id) == f"upload://{order().sha256}"


async def test_a_cut_upload_goes_on_where_it_was_cut(bench: Bench) -> None:
    status = await bench.uploads.start(order())
    with pytest.raises(ConnectionResetError):
        await bench.uploads.write(status.upload_id, send([Piece(0, DATA[:700])], ConnectionResetError()))
    assert (await bench.uploads.start(order())).committed_offset == 700
    assert await bench.uploads.write(status.upload_id, send([Piece(700, DATA[700:])])) == len(DATA)
    assert await bench.uploads.commit(status.upload_id)


async def test_a_piece_that_is_not_the_next_one_is_told_the_offset(bench: Bench) -> None:
    status = await bench.uploads.start(order())
    await bench.uploads.write(status.upload_id, send([Piece(0, DATA[:100])]))
    for offset in (0, 99, 101):
        with pytest.raises(BadOffset) as caught:
            await bench.uploads.write(status.upload_id, send([Piece(offset, b"x")]))
        assert caught.value.metadata["committed_offset"] == "100"


async def test_more_bytes_than_announced_are_refused(bench: Bench) -> None:
    status = await bench.uploads.start(order())
    with pytest.raises(InvalidRequest):
        await bench.uploads.write(status.upload_id, send([Piece(0, DATA + b"x")]))


async def test_a_commit_before_all_bytes_are_there_is_refused_and_loses_nothing(bench: Bench) -> None:
    status = await bench.uploads.start(order())
    await bench.uploads.write(status.upload_id, send([Piece(0, DATA[:10])]))
    with pytest.raises(WrongState, match="10 of"):
        await bench.uploads.commit(status.upload_id)
    assert (await bench.uploads.start(order())).committed_offset == 10


async def test_wrong_bytes_are_deleted_and_can_be_sent_again(bench: Bench) -> None:
    status = await bench.uploads.start(order())
    await bench.uploads.write(status.upload_id, send([Piece(0, DATA[::-1])]))
    with pytest.raises(ChecksumMismatch):
        await bench.uploads.commit(status.upload_id)
    assert await upload(bench, order())


async def test_two_writers_of_one_upload_cannot_mix_their_bytes(bench: Bench) -> None:
    status = await bench.uploads.start(order())
    pieces = [Piece(start, DATA[start : start + 1000]) for start in range(0, len(DATA), 1000)]
    writes = (bench.uploads.write(status.upload_id, send(pieces)) for _ in range(2))
    ends = await asyncio.gather(*writes, return_exceptions=True)
    assert all(isinstance(end, BadOffset) or end == len(DATA) for end in ends)
    there = (await bench.uploads.start(order())).committed_offset
    await bench.uploads.write(status.upload_id, send([Piece(there, DATA[there:])]))
    assert await bench.uploads.commit(status.upload_id)


async def test_an_artifact_goes_to_its_platform_and_leaves_no_copy(bench: Bench) -> None:
    wanted = order(purpose="ARTIFACT", name="adapter.safetensors", connection_id="mine")
    assert await upload(bench, wanted) == "hub://fake/adapter.safetensors"
    assert bench.platform.uploads["adapter.safetensors"] == DATA
    assert not await bench.blobs.has(wanted.sha256)


async def test_an_artifact_goes_to_its_platform_once_however_often_it_is_committed(bench: Bench) -> None:
    wanted = order(purpose="ARTIFACT", name="adapter.safetensors", connection_id="mine")
    status = await bench.uploads.start(wanted)
    await bench.uploads.write(status.upload_id, send([Piece(0, DATA)]))
    uris = await asyncio.gather(*(bench.uploads.commit(status.upload_id) for _ in range(5)))
    assert {*uris, await bench.uploads.commit(status.upload_id)} == {"hub://fake/adapter.safetensors"}
    assert bench.platform.count("upload") == 1


async def test_an_artifact_that_the_platform_refused_need_not_be_sent_again(bench: Bench) -> None:
    wanted = order(purpose="ARTIFACT", connection_id="mine")
    bench.platform.faults.is_down = True
    with pytest.raises(Exception, match="503"):
        await upload(bench, wanted)
    bench.platform.faults.is_down = False
    assert await bench.uploads.commit((await bench.uploads.start(wanted)).upload_id) == "hub://fake/train.jsonl"


async def test_everything_wrong_with_an_upload_is_told_at_once(bench: Bench) -> None:
    bad = UploadOrder(purpose=UploadPurpose.ARTIFACT, name="../x", size=-1, sha256="ABC")
    with pytest.raises(InvalidRequest) as caught:
        await bench.uploads.start(bad)
    assert {violation.field for violation in caught.value.violations} == {"name", "size", "sha256", "connection_id"}


async def test_unknown_uploads_and_connections_are_not_found(bench: Bench) -> None:
    with pytest.raises(NotFound):
        await bench.uploads.commit("upload-none")
    with pytest.raises(NotFound):
        await bench.uploads.start(order(purpose="ARTIFACT", connection_id="other"))


async def test_a_full_disk_keeps_what_was_there(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    status = await bench.uploads.start(order())
    await bench.uploads.write(status.upload_id, send([Piece(0, DATA[:100])]))
    pwrite = os.pwrite

    def half(descriptor: int, data: bytes, offset: int) -> int:
        if offset > 100:
            raise OSError(errno.ENOSPC, "No space left on device")
        return pwrite(descriptor, data[:5], offset)

    with monkeypatch.context() as patch:
        patch.setattr("gateway.artifacts.part.os.pwrite", half)
        with pytest.raises(StorageFull):
            await bench.uploads.write(status.upload_id, send([Piece(100, DATA[100:])]))
    assert (await bench.uploads.start(order())).committed_offset == 100
    assert await upload(bench, order())


async def test_datasets_are_listed_newest_first_in_pages(bench: Bench) -> None:
    uris = []
    for number in range(3):
        data = b"%d" % number
        uris.append(await upload(bench, order(data), data))
        bench.clock.advance(1)
    first, token = await bench.datasets.list(PageRequest.parse(2, ""))
    rest, end = await bench.datasets.list(PageRequest.parse(2, token))
    assert [dataset.uri for dataset in [*first, *rest]] == uris[::-1]
    assert end == ""


async def test_a_dataset_in_use_is_not_deleted(bench: Bench) -> None:
    uri = await upload(bench, order())
    bench.used_uris.add(uri)
    with pytest.raises(WrongState):
        await bench.datasets.delete(uri)
    bench.used_uris.clear()
    await bench.datasets.delete(uri)
    assert not await bench.blobs.has(order().sha256)
    for missing in (uri, "file:///etc/passwd", "upload://../../x"):
        with pytest.raises(NotFound):
            await bench.datasets.resolve(missing)


async def test_another_name_for_the_same_bytes_does_not_take_the_old_one_from_a_running_job(bench: Bench) -> None:
    old = await bench.datasets.resolve(await upload(bench, order()))
    new = await bench.datasets.resolve(await upload(bench, order(name="other.json")))
    assert new.name == "other.json"
    assert old.read_bytes() == new.read_bytes() == DATA


async def test_a_dataset_whose_name_was_removed_gets_it_again(bench: Bench) -> None:
    uri = await upload(bench, order())
    (await bench.datasets.resolve(uri)).unlink()
    assert (await bench.datasets.resolve(uri)).read_bytes() == DATA
    (await bench.datasets.resolve(uri)).unlink()
    await bench.blobs.delete(order().sha256)
    with pytest.raises(NotFound):
        await bench.datasets.resolve(uri)


async def test_a_dataset_is_found_where_the_file_system_has_no_hard_links(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_source: Path, _target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("gateway.artifacts.upload_file.os.link", refuse)
    assert (await bench.datasets.resolve(await upload(bench, order()))).read_bytes() == DATA


async def test_a_file_larger_than_the_disk_is_refused_before_it_is_sent(bench: Bench) -> None:
    with pytest.raises(StorageFull, match="free some space"):
        await bench.uploads.start(replace(order(), size=2**60))


async def test_abandoned_uploads_are_deleted_and_datasets_stay(bench: Bench) -> None:
    uri = await upload(bench, order())
    abandoned = await bench.uploads.start(order(b"other"))
    await bench.uploads.write(abandoned.upload_id, send([Piece(0, b"oth")]))
    bench.clock.advance(ABANDONED_AFTER.total_seconds())
    await bench.uploads.drop_abandoned()
    assert len(bench.parts()) == 1
    bench.clock.advance(1)
    await bench.uploads.drop_abandoned()
    assert bench.parts() == []
    assert (await bench.datasets.resolve(uri)).read_bytes() == DATA


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30), st.booleans()), max_size=12))
def test_any_sequence_of_writes_and_cuts_ends_in_the_announced_bytes(steps: list[tuple[int, int, bool]]) -> None:
    data = bytes(range(60))

    async def scenario(folder: Path) -> None:
        database = await Database.open(SQLite(folder / "ledger.db"))
        bench = await make_bench(folder, database)
        upload_id = (await bench.uploads.start(order(data))).upload_id
        there = 0
        for offset, size, is_cut in steps:
            piece = Piece(offset, data[offset : offset + size])
            cut = ConnectionResetError() if is_cut else None
            with suppress(BadOffset, ConnectionResetError):
                await bench.uploads.write(upload_id, send([piece], cut))
            there += len(piece.data) if offset == there else 0
            assert (await bench.uploads.start(order(data))).committed_offset == there
        await bench.uploads.write(upload_id, send([Piece(there, data[there:])]))
        path = await bench.datasets.resolve(await bench.uploads.commit(upload_id))
        assert path.read_bytes() == data
        await database.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(scenario(Path(folder)))
