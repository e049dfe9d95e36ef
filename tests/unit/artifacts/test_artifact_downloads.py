from __future__ import annotations

import asyncio
import hashlib
import tracemalloc
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.artifacts.download import Download
from gateway.artifacts.fill import MAX_FAILURES, MAX_PAUSE_SECONDS
from gateway.artifacts.model import CHUNK_BYTES, Artifact, ArtifactState
from gateway.errors import (
    ArtifactChanged,
    BadOffset,
    ChecksumMismatch,
    ConnectorDown,
    GatewayError,
    InvalidRequest,
    NotFound,
    Reason,
    StorageFull,
)
from gateway.jobs.model import JobState
from tests.support.fake_platform import FakeFile
from tests.unit.artifacts.conftest import Bench

pytestmark = pytest.mark.unit
DATA = bytes(range(256)) * 4096


async def read(download: Download) -> bytes:
    received = bytearray()
    async with asyncio.timeout(20):
        async for piece in download.pieces:
            received += piece.data
    return bytes(received)


async def fetch(bench: Bench, path: str = "a.log", offset: int = 0, length: int = 0, if_etag: str = "") -> bytes:
    return await read(await bench.artifacts.fetch("job-1", path, offset, length, if_etag))


async def refused(bench: Bench, path: str = "a.log") -> None:
    early, late = [await bench.artifacts.fetch("job-1", path) for _ in range(2)]
    for download in (early, late):
        with pytest.raises(ChecksumMismatch):
            await read(download)


async def test_a_file_arrives_whole_and_verified(bench: Bench) -> None:
    bench.platform.put("a.log", DATA)
    download = await bench.artifacts.fetch("job-1", "a.log")
    assert await read(download) == DATA
    digest = hashlib.sha256(DATA).hexdigest()
    found = download.artifact
    assert (found.state, found.sha256, found.etag, found.size) == (ArtifactState.VERIFIED, digest, digest, len(DATA))
    assert bench.parts() == []


async def test_a_second_read_and_a_resume_never_touch_the_platform(bench: Bench) -> None:
    bench.platform.put("a.log", DATA)
    await fetch(bench)
    calls = list(bench.platform.calls)
    assert await fetch(bench, offset=1000) == DATA[1000:]
    assert await fetch(bench, offset=5, length=7) == DATA[5:12]
    assert bench.platform.calls == calls


async def test_a_resume_in_a_running_job_with_the_checksum_as_etag_asks_nobody(bench: Bench) -> None:
    bench.platform.put("a.log", DATA)
    bench.job_is(JobState.RUNNING)
    await fetch(bench)
    calls = list(bench.platform.calls)
    assert await fetch(bench, offset=9, if_etag=hashlib.sha256(DATA).hexdigest()) == DATA[9:]
    assert bench.platform.calls == calls


async def test_many_readers_share_one_download(bench: Bench) -> None:
    bench.platform.put("a.log", DATA)
    bench.platform.faults.gate = asyncio.Event()
    downloads = [await bench.artifacts.fetch("job-1", "a.log", offset=number) for number in range(8)]
    reads = [asyncio.ensure_future(read(download)) for download in downloads]
    bench.platform.faults.gate.set()
    assert await asyncio.gather(*reads) == [DATA[number:] for number in range(8)]
    assert bench.platform.count("fetch") == 1


async def test_a_reader_that_leaves_does_not_end_the_download(bench: Bench) -> None:
    bench.platform.put("a.log", DATA)
    bench.platform.faults.gate = asyncio.Event()
    first = await bench.artifacts.fetch("job-1", "a.log")
    second = await bench.artifacts.fetch("job-1", "a.log")
    await first.close()
    bench.platform.faults.gate.set()
    assert await read(second) == DATA
    assert bench.platform.count("fetch") == 1


async def test_a_cut_download_goes_on_where_it_was_cut(bench: Bench) -> None:
    bench.platform.put("a.log", DATA)
    bench.platform.faults.cut_after = [300_000, 10]
    assert await fetch(bench) == DATA
    assert [call for call in bench.platform.calls if call.startswith("fetch")] == [
        "fetch a.log 0",
        "fetch a.log 300000",
        "fetch a.log 300010",
    ]
    assert bench.pauses == [1.0, 2.0]


async def test_a_platforms_wish_for_a_pause_is_granted_up_to_a_limit(bench: Bench) -> None:
    bench.platform.put("a.log", DATA)
    for wish in (7, 3600):
        error = GatewayError("slow down", reason=Reason.RATE_LIMITED, retry_after=timedelta(seconds=wish))
        bench.platform.faults.refusals.append(error)
    assert await fetch(bench) == DATA
    assert bench.pauses == [7.0, MAX_PAUSE_SECONDS]


async def test_a_cut_that_looks_like_an_end_is_noticed_by_the_size(bench: Bench) -> None:
    bench.platform.put("a.log", DATA)
    bench.platform.faults.cut_after = [1000]
    bench.platform.faults.silent_cut = True
    assert await fetch(bench) == DATA


async def test_a_platform_that_ignores_the_offset_does_no_harm(bench: Bench) -> None:
    bench.platform.put("a.log", DATA)
    bench.platform.faults.cut_after = [CHUNK_BYTES]
    bench.platform.faults.ignores_offset = True
    assert await fetch(bench) == DATA


async def test_a_platform_that_always_cuts_is_given_up_with_its_own_reason(bench: Bench) -> None:
    bench.platform.put("a.log", DATA)
    bench.platform.faults.cut_after = [0] * 100
    with pytest.raises(GatewayError) as caught:
        await fetch(bench)
    assert caught.value.reason is Reason.PLATFORM_UNAVAILABLE
    assert bench.platform.count("fetch") == MAX_FAILURES + 1
    assert bench.parts() == []


async def test_what_arrived_before_a_download_was_given_up_is_not_fetched_again(bench: Bench) -> None:
    bench.platform.put("a.log", DATA)
    bench.platform.faults.cut_after = [CHUNK_BYTES + 3, *[0] * MAX_FAILURES]
    with pytest.raises(GatewayError):
        await fetch(bench)
    bench.platform.faults.cut_after = []
    bench.platform.calls.clear()
    assert await fetch(bench) == DATA
    assert bench.platform.calls[-1] == f"fetch a.log {CHUNK_BYTES + 3}"
    assert bench.parts() == []


async def test_without_a_checksum_of_the_platforms_a_download_begins_anew(bench: Bench) -> None:
    bench.platform.put("a.log", DATA, sha256="")
    bench.platform.faults.cut_after = [CHUNK_BYTES, *[0] * MAX_FAILURES]
    with pytest.raises(GatewayError):
        await fetch(bench)
    bench.platform.faults.cut_after = []
    bench.platform.calls.clear()
    assert await fetch(bench) == DATA
    assert bench.platform.calls[-1] == "fetch a.log 0"


async def test_rejected_credentials_are_not_tried_again(bench: Bench) -> None:
    bench.platform.put("a.log", DATA)
    await bench.artifacts.list("job-1")
    bench.platform.faults.is_unauthorized = True
    with pytest.raises(GatewayError) as caught:
        await fetch(bench)
    assert caught.value.reason is Reason.CREDENTIALS_REJECTED
    assert bench.platform.count("fetch") == 1


async def test_wrong_bytes_are_fetched_once_more_and_whoever_has_some_is_told(bench: Bench) -> None:
    bench.platform.put("a.log", DATA)
    bench.platform.faults.wrong_reads = 1
    bench.platform.faults.cut_after = [CHUNK_BYTES]
    bench.hold = asyncio.Event()
    early, late = [await bench.artifacts.fetch("job-1", "a.log") for _ in range(2)]
    assert (await anext(early.pieces)).data != DATA[:CHUNK_BYTES]
    bench.hold.set()
    with pytest.raises(ChecksumMismatch):
        await read(early)
    assert await read(late) == DATA
    assert await fetch(bench) == DATA
    assert bench.platform.count("fetch") == 3


async def test_bytes_that_stay_wrong_are_corrupt_and_no_reader_ends_quietly(bench: Bench) -> None:
    bench.platform.put("a.log", DATA)
    bench.platform.faults.wrong_reads = 100
    # Whoever comes once it has failed has it fetched anew.
    bench.platform.faults.gate = asyncio.Event()
    downloads = [await bench.artifacts.fetch("job-1", "a.log", length=length) for length in (10, 0, 0)]
    bench.platform.faults.gate.set()
    for download in downloads:
        with pytest.raises(ChecksumMismatch):
            await read(download)
    assert bench.platform.count("fetch") == 2
    assert [artifact.state for artifact in await bench.artifacts.list("job-1")] == [ArtifactState.CORRUPT]
    assert bench.parts() == []


async def test_a_corrupt_file_can_be_fetched_again_once_the_platform_is_well(bench: Bench) -> None:
    bench.platform.put("a.log", DATA)
    bench.platform.faults.wrong_reads = 2
    await refused(bench)
    assert await fetch(bench) == DATA
    assert [artifact.state for artifact in await bench.artifacts.list("job-1")] == [ArtifactState.VERIFIED]


async def test_a_file_that_changes_between_cuts_is_fetched_anew_for_new_readers_only(bench: Bench) -> None:
    bench.platform.put("a.log", DATA)
    bench.platform.faults.cut_after = [CHUNK_BYTES]
    bench.hold = asyncio.Event()
    early, pinned, late = [
        await bench.artifacts.fetch("job-1", "a.log", if_etag=etag)
        for etag in ("", bench.platform.files["a.log"].artifact.etag, "")
    ]
    first = await anext(early.pieces)
    assert first.data == DATA[:CHUNK_BYTES]
    bench.platform.put("a.log", DATA[::-1])
    bench.hold.set()
    for reader in (early, pinned):
        with pytest.raises(GatewayError) as changed:
            await read(reader)
        assert changed.value.reason is Reason.ARTIFACT_CHANGED
    assert await read(late) == DATA[::-1]


async def test_another_etag_is_refused_with_the_present_one(bench: Bench) -> None:
    bench.platform.put("a.log", DATA)
    with pytest.raises(ArtifactChanged) as caught:
        await fetch(bench, if_etag="old")
    assert caught.value.metadata["etag"] == hashlib.sha256(DATA).hexdigest()


async def test_the_platforms_etag_still_counts_after_the_file_was_verified(bench: Bench) -> None:
    artifact = bench.platform.put("a.log", DATA)
    await fetch(bench)
    assert await fetch(bench, offset=4, if_etag=artifact.etag) == DATA[4:]


@pytest.mark.parametrize("is_cached", [False, True])
async def test_an_offset_behind_the_end_is_refused_and_the_end_itself_is_not(bench: Bench, is_cached: bool) -> None:
    bench.platform.put("a.log", DATA)
    if is_cached:
        await fetch(bench)
    with pytest.raises(BadOffset):
        await fetch(bench, offset=len(DATA) + 1)
    assert await fetch(bench, offset=len(DATA)) == b""


async def test_an_offset_behind_the_end_is_refused_where_nobody_knew_the_size(bench: Bench) -> None:
    artifact = bench.platform.put("a.log", DATA)
    bench.platform.tell(replace(artifact, size=None, sha256="", etag=""))
    with pytest.raises(BadOffset):
        await fetch(bench, offset=len(DATA) + 1)
    assert await fetch(bench) == DATA


async def test_negative_numbers_are_refused_all_at_once(bench: Bench) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await fetch(bench, offset=-1, length=-1)
    assert [violation.field for violation in caught.value.violations] == ["offset", "length"]


async def test_a_file_that_nobody_knows_is_not_found(bench: Bench) -> None:
    with pytest.raises(NotFound):
        await fetch(bench, "none")
    with pytest.raises(NotFound):
        await bench.artifacts.fetch("job-2", "none")


async def test_a_cut_safetensors_file_is_corrupt_though_no_checksum_was_told(bench: Bench) -> None:
    artifact = bench.platform.put("adapter_model.safetensors", b"\x10\0\0\0\0\0\0\0{}")
    bench.platform.tell(replace(artifact, sha256="", size=None))
    await refused(bench, "adapter_model.safetensors")
    assert [found.state for found in await bench.artifacts.list("job-1")] == [ArtifactState.CORRUPT]


async def test_a_pickle_under_a_harmless_name_is_flagged(bench: Bench) -> None:
    bench.platform.put("notes.txt", b"\x80\x04\x95 pickle")
    download = await bench.artifacts.fetch("job-1", "notes.txt")
    await read(download)
    assert download.artifact.unsafe


async def test_a_full_disk_is_told_and_leaves_nothing_behind(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int, _data: bytes, _offset: int) -> int:
        raise OSError(28, "No space left on device")

    bench.platform.put("a.log", DATA)
    monkeypatch.setattr("gateway.artifacts.part.os.pwrite", full)
    with pytest.raises(StorageFull, match="free some space"):
        await fetch(bench)
    assert bench.parts() == []


async def test_readers_are_told_when_the_gateway_stops(bench: Bench) -> None:
    bench.platform.put("a.log", DATA)
    bench.platform.faults.gate = asyncio.Event()
    download = await bench.artifacts.fetch("job-1", "a.log")
    reading = asyncio.ensure_future(read(download))
    await bench.artifacts.close()
    with pytest.raises(ConnectorDown):
        await reading
    assert bench.parts() == []


async def test_memory_stays_small_however_large_the_file(bench: Bench) -> None:
    size = 256 * 1024 * 1024
    block = bytes(CHUNK_BYTES)
    artifact = Artifact(id="big", path="big.bin", size=size)
    bench.platform.files["big"] = FakeFile(artifact, lambda offset, wanted: block[: min(wanted, size - offset)], size)
    tracemalloc.start()
    received = 0
    async with asyncio.timeout(60):
        async for piece in (await bench.artifacts.fetch("job-1", "big")).pieces:
            received += len(piece.data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert received == size
    assert peak < 16 * 1024 * 1024
