from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gateway.plugins.closure import compare, digest_of
from gateway.plugins.failures import StartFailed
from gateway.plugins.model import ExitClass
from gateway.plugins.spec import ConnectorSpec

pytestmark = pytest.mark.unit


def spec(folder: Path) -> ConnectorSpec:
    return ConnectorSpec(id="acme", origin=str(folder), command=(sys.executable, "x.py"))


def test_the_digest_is_that_of_the_files_and_not_of_their_age(tmp_path: Path) -> None:
    program = tmp_path / "x.py"
    program.write_text("1")
    before = digest_of(spec(tmp_path))
    program.touch()
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "x.pyc").write_text("compiled")
    (tmp_path / ".hidden").write_text("editor's")
    assert digest_of(spec(tmp_path)) == before
    program.write_text("2")
    assert digest_of(spec(tmp_path)) != before


def test_a_new_file_a_new_name_and_another_program_are_changes(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("1")
    seen = {digest_of(spec(tmp_path))}
    (tmp_path / "lock.txt").write_text("aiohttp==3.10")
    seen.add(digest_of(spec(tmp_path)))
    (tmp_path / "lock.txt").rename(tmp_path / "lock2.txt")
    seen.add(digest_of(spec(tmp_path)))
    seen.add(digest_of(ConnectorSpec(id="acme", origin=str(tmp_path), command=("/bin/sh",))))
    assert len(seen) == 4


def test_the_first_digest_is_kept_and_another_is_refused_with_a_way_out(tmp_path: Path) -> None:
    pin = tmp_path / "pinned-digest"
    compare(pin, "sha256:1")
    compare(pin, "sha256:1")
    with pytest.raises(StartFailed, match=f"remove {pin} and restart it") as caught:
        compare(pin, "sha256:2")
    assert caught.value.exit_class is ExitClass.DIGEST_MISMATCH
