"""Files arrive whole and right, or not at all; a cut costs nothing but the rest."""

from __future__ import annotations

import asyncio
import hashlib
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.client import Client, Progress, SyncClient, TransferError
from peftstudio.job.v1.artifact_pb2 import ARTIFACT_KIND_LOG
from tests.support.fake_gateway import FakeGateway, StoredFile, running_fake_gateway

pytestmark = [pytest.mark.wire, pytest.mark.timeout(30)]

DATA = random.Random(7).randbytes(20_000)


@settings(max_examples=20, deadline=None)
@given(size=st.integers(0, 20_000), cuts=st.lists(st.integers(0, 9_000), max_size=5), left=st.integers(0, 20_000))
def test_a_download_ends_right_wherever_it_is_cut_and_whatever_was_left_before(
    size: int, cuts: list[int], left: int
) -> None:
    async def scenario(folder: Path) -> bytes:
        async with FakeGateway(folder / "data") as fake, Client(data_dir=folder / "data") as client:
            fake.state.add_job("j")
            fake.state.files["j"] = [StoredFile("adapter.safetensors", DATA[:size])]
            fake.state.faults.fetch_cuts = list(cuts)
            (folder / "adapter.safetensors.part").write_bytes(DATA[:left])
            async with asyncio.timeout(20):
                [path] = await client.artifacts.download("j", folder)

            return path.read_bytes()

    with tempfile.TemporaryDirectory() as folder:
        assert asyncio.run(scenario(Path(folder))) == DATA[:size]
        assert not list(Path(folder).glob("*.part"))


async def test_a_resumed_download_fetches_only_the_rest(fake: FakeGateway, client: Client, tmp_path: Path) -> None:
    fake.state.add_job("j")
    fake.state.files["j"] = [StoredFile("a/b.bin", DATA)]
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.bin.part").write_bytes(DATA[:15_000])

    await client.artifacts.download("j", tmp_path)

    assert fake.state.fetched_bytes == 5_000
    assert (tmp_path / "a" / "b.bin").read_bytes() == DATA


async def test_a_file_that_is_there_and_right_is_not_fetched_again(
    fake: FakeGateway, client: Client, tmp_path: Path
) -> None:
    fake.state.add_job("j")
    fake.state.files["j"] = [StoredFile("a.bin", DATA)]
    await client.artifacts.download("j", tmp_path)
    fake.state.fetched_bytes = 0

    await client.artifacts.download("j", tmp_path)

    assert fake.state.fetched_bytes == 0


@pytest.mark.parametrize("with_crc32c", [True, False])
async def test_wrong_bytes_are_fetched_once_more(
    fake: FakeGateway, client: Client, tmp_path: Path, *, with_crc32c: bool
) -> None:
    fake.state.add_job("j")
    fake.state.files["j"] = [StoredFile("a.bin", DATA)]
    fake.state.faults.corrupt_fetches = 1
    fake.state.faults.with_crc32c = with_crc32c

    [path] = await client.artifacts.download("j", tmp_path)

    assert path.read_bytes() == DATA


@pytest.mark.parametrize("with_crc32c", [True, False])
async def test_bytes_that_are_wrong_twice_are_an_error_and_leave_nothing(
    fake: FakeGateway, client: Client, tmp_path: Path, *, with_crc32c: bool
) -> None:
    fake.state.add_job("j")
    fake.state.files["j"] = [StoredFile("a.bin", DATA)]
    fake.state.faults.corrupt_fetches = 2
    fake.state.faults.with_crc32c = with_crc32c

    with pytest.raises(TransferError, match=r"^a\.bin: .*twice; nothing was kept$"):
        await client.artifacts.download("j", tmp_path / "out")

    assert list((tmp_path / "out").iterdir()) == []


async def test_a_part_of_another_version_of_the_file_is_thrown_away(
    fake: FakeGateway, client: Client, tmp_path: Path
) -> None:
    fake.state.add_job("j")
    fake.state.files["j"] = [StoredFile("a.bin", DATA)]
    (tmp_path / "a.bin.part").write_bytes(b"something else")

    [path] = await client.artifacts.download("j", tmp_path)

    assert path.read_bytes() == DATA


async def test_a_path_that_leads_out_of_the_folder_is_refused_before_anything_is_fetched(
    fake: FakeGateway, client: Client, tmp_path: Path
) -> None:
    fake.state.add_job("j")
    fake.state.files["j"] = [StoredFile("good.bin", DATA), StoredFile("../evil.bin", DATA)]

    with pytest.raises(TransferError, match="refused to write"):
        await client.artifacts.download("j", tmp_path / "out")

    assert fake.state.fetched_bytes == 0


async def test_only_adapter_files_are_fetched_unless_others_are_asked_for(
    fake: FakeGateway, client: Client, tmp_path: Path
) -> None:
    fake.state.add_job("j")
    fake.state.files["j"] = [StoredFile("a.bin", DATA), StoredFile("train.log", b"x", ARTIFACT_KIND_LOG)]

    paths = await client.artifacts.download("j", tmp_path)
    everything = await client.artifacts.download("j", tmp_path, kinds=())

    assert [path.name for path in paths] == ["a.bin"]
    assert [path.name for path in everything] == ["a.bin", "train.log"]


async def test_progress_goes_up_to_the_size(fake: FakeGateway, client: Client, tmp_path: Path) -> None:
    fake.state.add_job("j")
    fake.state.files["j"] = [StoredFile("a.bin", DATA)]
    fake.state.faults.fetch_cuts = [3_000]
    seen: list[Progress] = []

    await client.artifacts.download("j", tmp_path, on_progress=seen.append)

    done = [progress.done_bytes for progress in seen]
    assert done == sorted(done)
    assert seen[-1] == Progress(path="a.bin", done_bytes=len(DATA), total_bytes=len(DATA))


async def test_an_upload_goes_on_where_the_gateway_has_it(fake: FakeGateway, client: Client, tmp_path: Path) -> None:
    data = random.Random(1).randbytes(900_000)
    (tmp_path / "data.jsonl").write_bytes(data)
    fake.state.faults.upload_cuts = [300_000, 0, 600_000]

    uri = await client.artifacts.upload_dataset(tmp_path / "data.jsonl")

    assert uri == f"upload://{hashlib.sha256(data).hexdigest()}"
    [upload] = fake.state.uploads.values()
    assert upload.data == data


async def test_a_dataset_that_is_there_is_not_sent_again(fake: FakeGateway, client: Client, tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_bytes(DATA)
    await client.artifacts.upload_dataset(tmp_path / "data.jsonl")
    fake.state.calls.clear()

    await client.artifacts.upload_dataset(tmp_path / "data.jsonl")

    assert fake.state.calls == ["StartUpload", "CommitUpload"]


async def test_an_upload_to_a_registry_carries_its_metadata(fake: FakeGateway, client: Client, tmp_path: Path) -> None:
    (tmp_path / "adapter.bin").write_bytes(b"12")

    assert await client.artifacts.upload(tmp_path / "adapter.bin", "local", {"tags": ["a"], "r": 8}) == (
        "registry/adapter.bin"
    )
    [request] = fake.state.registry
    assert request.connection_id == "local"
    assert dict(request.metadata)["r"] == 8


def test_the_blocking_client_moves_files_both_ways(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(DATA)
    with running_fake_gateway(tmp_path / "data") as fake, SyncClient(data_dir=tmp_path / "data") as client:
        fake.state.add_job("j")
        fake.state.files["j"] = [StoredFile("a.bin", DATA)]
        fake.state.faults.fetch_cuts = [5_000]
        fake.state.faults.upload_cuts = [0]

        uri = client.artifacts.upload_dataset(tmp_path / "in.jsonl")
        [path] = client.artifacts.download("j", tmp_path / "out")

        assert uri in fake.state.datasets
        assert path.read_bytes() == DATA
        assert [dataset.name for dataset in client.artifacts.datasets()] == ["in.jsonl"]
