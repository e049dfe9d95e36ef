"""The folder that a gateway keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.data_folder import DataFolder

pytestmark = pytest.mark.unit


def test_a_token_stays_the_same_from_start_to_start(tmp_path: Path) -> None:
    with DataFolder(tmp_path) as folder:
        token = folder.token()
    with DataFolder(tmp_path) as folder:
        assert folder.token() == token
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600


def test_an_empty_token_file_lets_nobody_in(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("\n")
    with DataFolder(tmp_path) as folder:
        assert len(folder.token()) >= 32
