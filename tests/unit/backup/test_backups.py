"""Data folders backed up and made again: everything that cannot be had again, whole or not at all."""

from __future__ import annotations

import io
import os
import sqlite3
import stat
import tarfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from gateway.backup import manifest
from gateway.backup.restore import restore
from gateway.backup.write import back_up
from gateway.cli.main import assemble
from gateway.data_folder import DataFolder
from gateway.errors import ChecksumMismatch, InvalidRequest, NotFound, WrongState

pytestmark = pytest.mark.unit

NOT_FOUND = 3

DATASET, ARTIFACT = "d" * 64, "a" * 64
KEPT = {
    "key": b"key",
    "token": b"token",
    "connectors.json": b"{}",
    "connectors/acme/run": b"#!/bin/sh\n",
    "logs/job-1/index": b"entry\n",
    "logs/job-1/lines": b"line" * 1000,
    f"blobs/dd/{DATASET}": b"dataset",
    "blobs/incoming/up-1.part": b"half",
    "flight/lab/1.json": b"{}",
    "instances/lab/generation": b"7\n",
    "instances/lab/jobs/1/spec": b"{}",
    f"instances/lab/jobs/1/{'with spaces, and long' * 10}": b"",
}
FETCHED = {f"blobs/aa/{ARTIFACT}": b"artifact"}
LEFT_OUT = {
    "endpoint.json": b"{}",
    "gateway.lock": b"",
    ".token.new": b"",
    f"datasets/{DATASET}/data.jsonl": b"dataset",
    "blobs/incoming/fill-1.part": b"half a download",
    "instances/lab/process-7.json": b"{}",
    "instances/lab/bootstrap.json": b"{}",
    "instances/lab/output.log": b"said",
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for name, content in {**KEPT, **FETCHED, **LEFT_OUT}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "connectors/acme/run").chmod(0o755)
    (folder / "connectors/acme/link").symlink_to("/etc/passwd")
    with closing(sqlite3.connect(folder / "ledger.db")) as ledger:
        ledger.execute("PRAGMA journal_mode=WAL")
        ledger.execute("CREATE TABLE jobs (id TEXT)")
        ledger.execute("INSERT INTO jobs VALUES ('job-1')")
        ledger.commit()
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files but the ledger's."""
    paths = [path for path in folder.rglob("*") if not path.is_dir() and not path.name.startswith("ledger.db")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_all_that_cannot_be_had_again_comes_back_and_nobody_else_can_read_it(data: Path, tmp_path: Path) -> None:
    made = back_up(data, tmp_path / "backup.tar")
    assert made.files == len(KEPT) + 1
    assert stat.S_IMODE((tmp_path / "backup.tar").stat().st_mode) == 0o600
    fresh = tmp_path / "elsewhere" / "data"
    assert restore(tmp_path / "backup.tar", fresh) is None
    assert contents(fresh) == KEPT
    assert all(path.stat().st_mode & 0o077 == 0 for path in [fresh, *filter(Path.is_file, fresh.rglob("*"))])
    assert os.access(fresh / "connectors/acme/run", os.X_OK)
    with closing(sqlite3.connect(fresh / "ledger.db")) as ledger:
        assert ledger.execute("SELECT id FROM jobs").fetchall() == [("job-1",)]
    # Nothing of the work is left beside.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup.tar", "data", "elsewhere"]
    assert [path.name for path in fresh.parent.iterdir()] == ["data"]


def test_what_platforms_have_as_well_is_in_it_if_it_is_wanted(data: Path, tmp_path: Path) -> None:
    back_up(data, tmp_path / "backup.tar", with_artifacts=True)
    restore(tmp_path / "backup.tar", tmp_path / "fresh")
    assert contents(tmp_path / "fresh") == KEPT | FETCHED


def test_other_tools_can_read_a_backup(data: Path, tmp_path: Path) -> None:
    back_up(data, tmp_path / "backup.tar")
    with tarfile.open(tmp_path / "backup.tar") as tar:
        assert set(tar.getnames()) == {*KEPT, "ledger.db", "MANIFEST"}


def test_a_ledger_on_a_server_is_left_out_and_a_folder_without_one_is_refused(data: Path, tmp_path: Path) -> None:
    (data / "ledger.db").unlink()
    with pytest.raises(NotFound, match="--data-dir"):
        back_up(data, tmp_path / "backup.tar")
    assert not back_up(data, tmp_path / "backup.tar", with_ledger=False).has_ledger
    restore(tmp_path / "backup.tar", tmp_path / "fresh")
    assert contents(tmp_path / "fresh") == KEPT


def test_the_command_says_what_has_to_be_kept_beside_its_file(data: Path, tmp_path: Path) -> None:
    command = ["backup", str(tmp_path / "backup.tar"), "--data-dir", str(data)]
    done = CliRunner().invoke(assemble(), command)
    assert done.exit_code == 0, done.stderr
    assert "pg_dump" not in done.stderr
    assert "PEFTSTUDIO_KEY" not in done.stderr
    (data / "key").unlink()
    (data / "ledger.db").unlink()
    assert CliRunner().invoke(assemble(), command).exit_code == NOT_FOUND
    done = CliRunner().invoke(assemble(), command, env={"PEFTSTUDIO_LEDGER": "postgresql://me@db/ledger"})
    assert done.exit_code == 0, done.stderr
    assert "pg_dump" in done.stderr
    assert "PEFTSTUDIO_KEY" in done.stderr


def test_a_backup_is_not_written_into_the_folder_itself(data: Path) -> None:
    with pytest.raises(InvalidRequest, match="outside"):
        back_up(data, data / "logs" / "backup.tar")


def test_a_backup_that_cannot_be_written_leaves_the_one_before(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "backup.tar").write_bytes(b"the one before")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        back_up(data, tmp_path / "backup.tar")
    assert (tmp_path / "backup.tar").read_bytes() == b"the one before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup.tar", "data"]


def test_a_folder_with_something_in_it_is_kept_unless_it_may_be_put_aside(data: Path, tmp_path: Path) -> None:
    back_up(data, tmp_path / "backup.tar")
    (data / "token").write_bytes(b"newer")
    with pytest.raises(WrongState, match="is not empty"):
        restore(tmp_path / "backup.tar", data)
    assert (data / "token").read_bytes() == b"newer"
    old = restore(tmp_path / "backup.tar", data, replace=True)
    assert old is not None
    assert (old / "token").read_bytes() == b"newer"
    assert (data / "token").read_bytes() == b"token"


def test_a_folder_that_a_gateway_runs_in_is_never_touched(data: Path, tmp_path: Path) -> None:
    back_up(data, tmp_path / "backup.tar")
    with DataFolder(data), pytest.raises(WrongState, match="another gateway is running"):
        restore(tmp_path / "backup.tar", data, replace=True)
    assert contents(data).keys() >= KEPT.keys()


@pytest.mark.parametrize("replace", [False, True])
def test_a_folder_that_is_empty_is_filled(data: Path, tmp_path: Path, replace: bool) -> None:
    back_up(data, tmp_path / "backup.tar")
    with DataFolder(tmp_path / "fresh"):
        pass
    assert restore(tmp_path / "backup.tar", tmp_path / "fresh", replace=replace) is None
    assert contents(tmp_path / "fresh") == KEPT


@settings(max_examples=60)
@given(place=st.floats(0, 1, exclude_max=True), kind=st.sampled_from(["cut", "flip"]))
def test_a_backup_that_was_damaged_anywhere_is_refused_or_gives_what_was_backed_up(
    tmp_path_factory: pytest.TempPathFactory, place: float, kind: str
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "data" / "logs").mkdir(parents=True)
    for name in ("token", "logs/lines"):
        (folder / "data" / name).write_bytes(os.urandom(700))
    before = contents(folder / "data")
    back_up(folder / "data", folder / "backup.tar", with_ledger=False)
    whole = bytearray((folder / "backup.tar").read_bytes())
    at = int(place * len(whole))
    if kind == "cut":
        del whole[at:]
    else:
        whole[at] ^= 0x55
    (folder / "backup.tar").write_bytes(whole)
    try:
        restore(folder / "backup.tar", folder / "fresh")
    except ChecksumMismatch:
        assert not (folder / "fresh").exists()
    else:
        assert contents(folder / "fresh") == before
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize(
    "member",
    [
        tarfile.TarInfo("../outside"),
        tarfile.TarInfo("/outside"),
        tarfile.TarInfo("a/../../outside"),
        tarfile.TarInfo("token"),
    ],
)
def test_members_that_lead_out_of_the_folder_or_come_twice_are_refused(
    data: Path, tmp_path: Path, member: tarfile.TarInfo
) -> None:
    back_up(data, tmp_path / "backup.tar")
    with tarfile.open(tmp_path / "evil.tar", "w") as evil, tarfile.open(tmp_path / "backup.tar") as good:
        for one in good.getmembers():
            evil.addfile(one, good.extractfile(one))
            if one.name == "token":
                member.size = 4
                evil.addfile(member, io.BytesIO(b"evil"))
    with pytest.raises(ChecksumMismatch):
        restore(tmp_path / "evil.tar", tmp_path / "fresh")
    assert not (tmp_path / "outside").exists()
    assert not (tmp_path / "fresh").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_members_that_are_no_files_are_refused(data: Path, tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "evil.tar", "w") as evil:
        member = tarfile.TarInfo("thing")
        member.type, member.linkname = kind, "/etc/passwd"
        evil.addfile(member)
    with pytest.raises(ChecksumMismatch):
        restore(tmp_path / "evil.tar", tmp_path / "fresh")
    assert not (tmp_path / "fresh").exists()


def test_a_backup_of_a_newer_gateway_is_refused(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "FORMAT", 2)
    back_up(data, tmp_path / "backup.tar")
    monkeypatch.undo()
    with pytest.raises(WrongState, match="format 2"):
        restore(tmp_path / "backup.tar", tmp_path / "fresh")
