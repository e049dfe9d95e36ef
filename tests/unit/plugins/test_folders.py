from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.plugins.folders import MAX_SOCKET_PATH_BYTES, Folders, UnusableFolder, write_private

pytestmark = pytest.mark.unit


@pytest.fixture
def runtime() -> Iterator[Path]:
    # pytest's own folders have names that are too long for sockets.
    with tempfile.TemporaryDirectory(prefix="p") as folder:
        yield Path(folder)


def test_the_data_directorys_length_does_not_matter_to_sockets(tmp_path: Path, runtime: Path) -> None:
    folders = Folders.of(tmp_path / ("d" * 200), str(runtime))
    assert len(os.fsencode(folders.socket("c" * 63, 7).relative_to(runtime))) < 40


def test_a_path_that_is_too_long_for_a_socket_is_refused_with_a_way_out(tmp_path: Path) -> None:
    long = tmp_path / ("x" * MAX_SOCKET_PATH_BYTES)
    long.mkdir()
    with pytest.raises(UnusableFolder, match="set XDG_RUNTIME_DIR or TMPDIR to a shorter folder"):
        Folders.of(tmp_path, str(long))


def test_a_sockets_folder_is_private_and_free_of_old_sockets(tmp_path: Path, runtime: Path) -> None:
    folders = Folders.of(tmp_path, str(runtime))
    old, lingering = folders.prepare("c", 1), folders.prepare("c", 2)
    for socket in (old, lingering):
        socket.touch()
    write_private(folders.state_file("c", 2), b"")
    assert stat.S_IMODE(old.parent.stat().st_mode) == 0o700
    folders.sweep("c")
    assert not old.exists()
    assert lingering.exists()
    folders.clear("c", 2)
    assert not folders.runtime_root.exists()


def test_a_folder_that_is_no_folder_is_refused(tmp_path: Path, runtime: Path) -> None:
    folders = Folders.of(tmp_path, str(runtime))
    folders.runtime_root.symlink_to(tmp_path)
    with pytest.raises((UnusableFolder, FileExistsError)):
        folders.prepare("c", 1)


def test_a_torn_counter_starts_again(tmp_path: Path, runtime: Path) -> None:
    folders = Folders.of(tmp_path, str(runtime))
    folders.note_generation("c", 3)
    assert folders.last_generation("c") == 3
    (folders.work_dir("c") / "generation").write_text("")
    assert folders.last_generation("c") == 0
