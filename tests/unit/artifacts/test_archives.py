"""Archives that would write outside the folder that they are unpacked into."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.artifacts import archive_check
from gateway.artifacts.archive_check import Found, look_into
from gateway.artifacts.model import ArtifactState
from gateway.errors import ChecksumMismatch
from tests.unit.artifacts.conftest import Bench

pytestmark = pytest.mark.unit

OUTSIDE = ["../x", "a/../../x", "/etc/passwd", "C:/x", "a\\..\\x", "a/\x1b[2J"]


def zipped(*names: str, mode: int = 0) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            member = zipfile.ZipInfo(name)
            member.external_attr = mode << 16
            archive.writestr(member, "data")
    return buffer.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


def tarred(*members: tarfile.TarInfo, packed: bool = False) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz" if packed else "w") as archive:
        for one in members:
            archive.addfile(one)
    return buffer.getvalue()


def fault(folder: Path, data: bytes, name: str = "adapter.zip") -> str:
    path = folder / "file"
    path.write_bytes(data)
    return look_into(path, name).fault


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_a_member_that_leaves_the_folder_is_named(tmp_path: Path, name: str, kind: str) -> None:
    data = (
        zipped("fine.txt", name) if kind == "zip" else tarred(member("fine.txt"), member(name), packed=kind == "tar.gz")
    )
    assert "outside the folder" in fault(tmp_path, data, f"adapter.{kind}")


@pytest.mark.parametrize(
    "hostile",
    [
        member("a/link", tarfile.SYMTYPE, "../../etc"),
        member("link", tarfile.SYMTYPE, "/etc/passwd"),
        member("hard", tarfile.LNKTYPE, "../x"),
        member("disk", tarfile.BLKTYPE),
        member("pipe", tarfile.FIFOTYPE),
    ],
)
def test_a_link_that_leads_out_and_a_device_are_named(tmp_path: Path, hostile: tarfile.TarInfo) -> None:
    assert hostile.name in fault(tmp_path, tarred(member("fine.txt"), hostile), "adapter.tar")


def test_a_link_in_a_zip_is_not_unpacked_by_anybody_who_can_help_it(tmp_path: Path) -> None:
    assert "link" in fault(tmp_path, zipped("link", mode=0o120777))


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (zipped("adapter/", "adapter/adapter_config.json", "./README.md"), "adapter.zip"),
        (tarred(member("./"), member("a/b"), member("a/c", tarfile.SYMTYPE, "b")), "adapter.tar"),
        (tarred(member("a", tarfile.DIRTYPE), packed=True), "adapter.tar.gz"),
        (b"weights", "adapter.safetensors"),
        (b"", "empty.log"),
    ],
    ids=["zip", "tar", "tar.gz", "no archive", "empty"],
)
def test_archives_that_stay_inside_and_other_files_have_no_fault(tmp_path: Path, data: bytes, name: str) -> None:
    assert fault(tmp_path, data, name) == ""


@pytest.mark.parametrize("name", ["adapter.zip", "adapter.tar", "adapter.tar.gz", "adapter.tgz"])
def test_what_is_named_an_archive_and_is_none_is_damaged(tmp_path: Path, name: str) -> None:
    assert "no whole" in fault(tmp_path, b"<html>503</html>", name)


def test_a_tar_that_was_cut_is_damaged(tmp_path: Path) -> None:
    packed = tarred(*(member(f"file-{number}") for number in range(500)), packed=True)
    assert "no whole" in fault(tmp_path, packed[: len(packed) // 2], "adapter.tar.gz")


def test_what_cannot_be_looked_through_in_time_is_not_taken_for_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(tarred(*(member(f"file-{number}") for number in range(9)), member("../x")))
    assert look_into(path, path.name).fault
    monkeypatch.setattr(archive_check, "MOST_MEMBERS", 2)
    assert look_into(path, path.name) == Found(is_unsure=True)


@given(st.binary(max_size=2000), st.sampled_from(["a.zip", "a.tar", "a.bin"]))
def test_noise_never_raises(tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str) -> None:
    assert isinstance(fault(tmp_path_factory.getbasetemp(), data, name), str)


async def test_an_archive_that_leaves_its_folder_is_refused_and_shown_as_corrupt(bench: Bench) -> None:
    bench.platform.put("adapter.zip", zipped("adapter.bin", "../../.ssh/authorized_keys"))
    for _ in range(2):
        # The first reader has bytes already and learns of it at once; the second one when they came again.
        with pytest.raises(ChecksumMismatch, match="authorized_keys"):
            async for _piece in (await bench.artifacts.fetch("job-1", "adapter.zip")).pieces:
                pass
    (listed,) = await bench.artifacts.list("job-1")
    assert listed.state is ArtifactState.CORRUPT
