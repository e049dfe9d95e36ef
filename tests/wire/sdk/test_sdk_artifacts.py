"""Artifacts in both directions."""

import asyncio
import hashlib
import io
import json
import random
import tarfile
import zipfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from connector_sdk import ArtifactInfo
from connector_sdk.testing import ConnectorHarness
from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.job.v1 import artifact_pb2
from tests.support.sdk.required_connector import PlainConnector
from tests.support.sdk.rpc import SECONDS, failure

pytestmark = pytest.mark.wire

LIST = pb.ListArtifactsRequest(connection_id="c1", platform_job_id="1")
WEIGHTS = random.Random(0).randbytes(700_000)


def _fetch(artifact_id: str = "adapter", offset: int = 0, if_etag: str = "") -> pb.FetchArtifactRequest:
    return pb.FetchArtifactRequest(
        connection_id="c1", platform_job_id="1", artifact_id=artifact_id, offset=offset, if_etag=if_etag
    )


def _giving(content: bytes | list[bytes], status: str = "completed") -> type[PlainConnector]:
    class Giving(PlainConnector):
        downloads = 0

        async def get_job_status(self, job_id: str) -> str:
            return status

        async def fetch_artifact(self, job_id: str) -> bytes | AsyncIterator[bytes]:
            type(self).downloads += 1
            return content if isinstance(content, bytes) else _pieces(content)

    return Giving


async def _pieces(content: list[bytes]) -> AsyncIterator[bytes]:
    for piece in content:
        yield piece


def _data(messages: list[pb.FetchArtifactResponse]) -> bytes:
    return b"".join(message.chunk.data for message in messages)


def _archive(kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w") as file:
            file.writestr("a", "b")
    else:
        with tarfile.open(fileobj=buffer, mode="w:gz" if kind == "gz" else "w") as file:
            file.addfile(tarfile.TarInfo("a"))
    return buffer.getvalue()


def _safetensors() -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return len(header).to_bytes(8, "little") + header + b"\0" * 4


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (_safetensors(), "adapter_model.safetensors"),
        (_archive("zip"), "adapter.zip"),
        (_archive(""), "adapter.tar"),
        (_archive("gz"), "adapter.tar.gz"),
        (b"anything", "adapter.bin"),
        (b"", "adapter.bin"),
    ],
    ids=["safetensors", "zip", "tar", "gz", "other", "empty"],
)
async def test_the_guides_artifact_is_one_file_named_after_its_content(content: bytes, name: str) -> None:
    async with ConnectorHarness(_giving(content)) as harness:
        await harness.connect()
        (artifact,) = (await harness.stub.ListArtifacts(LIST, timeout=SECONDS)).artifacts
    assert (artifact.id, artifact.path, artifact.size) == ("adapter", name, len(content))
    assert artifact.sha256 == hashlib.sha256(content).hexdigest()
    assert artifact.kind == artifact_pb2.ARTIFACT_KIND_ADAPTER


async def test_a_job_that_has_not_completed_has_no_artifact() -> None:
    async with ConnectorHarness(_giving(b"x", "failed")) as harness:
        await harness.connect()
        assert not (await harness.stub.ListArtifacts(LIST, timeout=SECONDS)).artifacts


@pytest.mark.parametrize(
    "content",
    [WEIGHTS, [WEIGHTS[:5], b"", WEIGHTS[5:600_000], WEIGHTS[600_000:]], [bytes([b]) for b in WEIGHTS[:999]]],
    ids=["whole", "pieces", "single-bytes"],
)
async def test_the_bytes_come_in_order_in_pieces_with_size_and_checksum(content: bytes | list[bytes]) -> None:
    whole = content if isinstance(content, bytes) else b"".join(content)
    async with ConnectorHarness(_giving(content)) as harness:
        await harness.connect()
        messages = [message async for message in harness.stub.FetchArtifact(_fetch(), timeout=SECONDS)]
    position = 0
    for message in messages:
        if message.chunk.data:
            assert message.chunk.offset == position
            assert len(message.chunk.data) <= 512 * 1024
        position += len(message.chunk.data)
    assert _data(messages) == whole
    assert (messages[0].size, messages[0].sha256) == (len(whole), hashlib.sha256(whole).hexdigest())


async def test_a_download_continues_at_an_offset_and_the_platform_is_asked_once() -> None:
    connector = _giving(WEIGHTS)
    async with ConnectorHarness(connector) as harness:
        await harness.connect()
        await harness.stub.ListArtifacts(LIST, timeout=SECONDS)
        request = _fetch(offset=699_990)
        messages = [message async for message in harness.stub.FetchArtifact(request, timeout=SECONDS)]
    assert _data(messages) == WEIGHTS[699_990:]
    assert connector.downloads == 1  # type: ignore[attr-defined]


async def test_listing_again_does_not_fetch_again_once_the_file_is_given_up() -> None:
    connector = _giving(WEIGHTS)
    async with ConnectorHarness(connector) as harness:
        await harness.connect()
        assert _data([message async for message in harness.stub.FetchArtifact(_fetch(), timeout=SECONDS)]) == WEIGHTS
        await harness.stub.ListArtifacts(LIST, timeout=SECONDS)
        assert connector.downloads == 1  # type: ignore[attr-defined]
        assert _data([message async for message in harness.stub.FetchArtifact(_fetch(), timeout=SECONDS)]) == WEIGHTS
        assert connector.downloads == 2  # type: ignore[attr-defined]


@pytest.mark.parametrize(("offset", "reason"), [(-1, "BAD_OFFSET"), (8, "BAD_OFFSET")])
async def test_an_offset_outside_the_file_is_refused(offset: int, reason: str) -> None:
    async with ConnectorHarness(PlainConnector) as harness:
        await harness.connect()
        assert (await failure(harness.stub.FetchArtifact(_fetch(offset=offset), timeout=SECONDS))).reason == reason


async def test_an_offset_at_the_end_gives_no_bytes() -> None:
    async with ConnectorHarness(PlainConnector) as harness:
        await harness.connect()
        messages = [message async for message in harness.stub.FetchArtifact(_fetch(offset=7), timeout=SECONDS)]
    assert _data(messages) == b""
    assert messages[0].size == 7


async def test_an_artifact_that_changed_is_refused() -> None:
    async with ConnectorHarness(PlainConnector) as harness:
        await harness.connect()
        call = harness.stub.FetchArtifact(_fetch(if_etag="another"), timeout=SECONDS)
        assert (await failure(call)).reason == "ARTIFACT_CHANGED"


async def test_an_unknown_artifact_is_not_found() -> None:
    async with ConnectorHarness(PlainConnector) as harness:
        await harness.connect()
        assert (await failure(harness.stub.FetchArtifact(_fetch("x"), timeout=SECONDS))).reason == "NOT_FOUND"


async def test_a_failed_download_is_tried_again_by_the_next_call() -> None:
    class Flaky(PlainConnector):
        calls = 0

        async def fetch_artifact(self, job_id: str) -> bytes:
            type(self).calls += 1
            if self.calls == 1:
                raise ConnectionError("cut")
            return b"weights"

    async with ConnectorHarness(Flaky) as harness:
        await harness.connect()
        first = await failure(harness.stub.ListArtifacts(LIST, timeout=SECONDS))
        assert first.reason == "PLATFORM_UNAVAILABLE"
        assert (await harness.stub.ListArtifacts(LIST, timeout=SECONDS)).artifacts[0].size == 7


class FilesConnector(PlainConnector):
    """Has several files."""

    async def list_artifacts(self, job_id: str) -> list[ArtifactInfo]:
        return [
            ArtifactInfo(id="1", path="a/b.bin", size=len(WEIGHTS), etag="v1"),
            ArtifactInfo(id="2", path="log.txt", kind="log"),
        ]

    async def open_artifact(self, job_id: str, artifact_id: str, offset: int) -> AsyncIterator[bytes]:
        yield WEIGHTS[offset:]


async def test_a_connector_with_files_of_its_own_lists_and_opens_them() -> None:
    async with ConnectorHarness(FilesConnector) as harness:
        await harness.connect()
        first, second = (await harness.stub.ListArtifacts(LIST, timeout=SECONDS)).artifacts
        whole = [message async for message in harness.stub.FetchArtifact(_fetch("1", 0, "v1"), timeout=SECONDS)]
        rest = [message async for message in harness.stub.FetchArtifact(_fetch("1", 10), timeout=SECONDS)]
        stale = await failure(harness.stub.FetchArtifact(_fetch("1", 0, "v0"), timeout=SECONDS))
    assert (first.path, second.kind, second.HasField("size")) == ("a/b.bin", artifact_pb2.ARTIFACT_KIND_LOG, False)
    assert _data(whole) == WEIGHTS
    assert whole[-1].sha256 == hashlib.sha256(WEIGHTS).hexdigest()
    assert (_data(rest), rest[-1].sha256) == (WEIGHTS[10:], "")
    assert stale.reason == "ARTIFACT_CHANGED"


async def test_an_offset_behind_the_end_is_refused_where_the_author_gives_nothing_and_the_end_itself_is_not() -> None:
    async with ConnectorHarness(FilesConnector) as harness:
        await harness.connect()
        at_end = [message async for message in harness.stub.FetchArtifact(_fetch("1", len(WEIGHTS)), timeout=SECONDS)]
        beyond = await failure(harness.stub.FetchArtifact(_fetch("1", len(WEIGHTS) + 1), timeout=SECONDS))
    assert _data(at_end) == b""
    assert beyond.reason == "BAD_OFFSET"


def _upload(content: bytes, name: str = "adapter.safetensors", **wrong: object) -> Iterator[pb.UploadArtifactRequest]:
    said: dict[str, Any] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(), **wrong}
    header = pb.UploadHeader(connection_id="c1", name=name, **said)
    header.metadata.update({"rank": 8})
    yield pb.UploadArtifactRequest(header=header)
    for offset in range(0, len(content), 100_000):
        chunk = artifact_pb2.Chunk(offset=offset, data=content[offset : offset + 100_000])
        yield pb.UploadArtifactRequest(chunk=chunk)


def _without_first_chunk() -> list[pb.UploadArtifactRequest]:
    header, _, *rest = _upload(b"a" * 150_000)
    return [header, *rest]


class ReceivingConnector(PlainConnector):
    """Notes what it was told to upload."""

    received: list[tuple[str, bytes, dict[str, Any]]]

    async def upload_artifact(self, path: str, metadata: dict[str, Any]) -> str:
        self.received.append((path, await asyncio.to_thread(Path(path).read_bytes), metadata))
        return "artifact-1"


@pytest.fixture
def receiving() -> type[ReceivingConnector]:
    return type("Receiving", (ReceivingConnector,), {"received": []})


async def test_an_upload_arrives_as_a_file_that_is_removed_afterwards(
    receiving: type[ReceivingConnector], tmp_path: Path
) -> None:
    async with ConnectorHarness(receiving, work_dir=tmp_path) as harness:
        await harness.connect()
        answer = await harness.stub.UploadArtifact(_upload(WEIGHTS), timeout=SECONDS)
    ((path, content, metadata),) = receiving.received
    assert answer.artifact_id == "artifact-1"
    assert (Path(path).name, content, metadata) == ("adapter.safetensors", WEIGHTS, {"rank": 8})
    assert not list((tmp_path / "spool").iterdir())


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        (lambda: _upload(b"abc", sha256="0" * 64), "CHECKSUM_MISMATCH"),
        (lambda: _upload(b"abc", size=2), "CHECKSUM_MISMATCH"),
        (lambda: _upload(b"abc", size=4), "CHECKSUM_MISMATCH"),
        (lambda: _upload(b"abc", name="../evil"), "INVALID_CONFIG"),
        (lambda: _upload(b"abc", name=".."), "INVALID_CONFIG"),
        (lambda: _upload(b"abc", name=""), "INVALID_CONFIG"),
        (lambda: iter(list(_upload(b"abc"))[1:]), "INVALID_CONFIG"),
        (lambda: iter([]), "INVALID_CONFIG"),
        (lambda: iter(_without_first_chunk()), "BAD_OFFSET"),
    ],
)
async def test_an_upload_that_is_not_what_was_announced_is_refused(
    receiving: type[ReceivingConnector], parts: Any, reason: str
) -> None:
    async with ConnectorHarness(receiving) as harness:
        await harness.connect()
        assert (await failure(harness.stub.UploadArtifact(parts(), timeout=SECONDS))).reason == reason
    assert not receiving.received
