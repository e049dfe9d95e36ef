"""Folders whose names are longer than a socket's may be."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.process.gateway.conftest import ended, laboratory, submit
from tests.support.gateway_process import PEFTSTUDIO, gateway_process

pytestmark = pytest.mark.process

LONG = "a-folder-whose-name-is-long-enough-that-no-socket-could-have-it-in-its-path-on-any-system-at-all"


# F6
async def test_a_data_folder_of_any_length_has_short_sockets(tmp_path: Path) -> None:
    data = tmp_path / LONG / LONG / "data"
    data.parent.mkdir(parents=True)
    async with gateway_process(data) as gateway, laboratory(gateway) as stubs:
        await ended(stubs, await submit(stubs))


def test_a_runtime_folder_that_is_too_long_is_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / LONG).mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / LONG))
    command = [str(PEFTSTUDIO), "serve", "--port", "0", "--data-dir", str(tmp_path / "data")]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert refused.returncode != 0
    assert "set XDG_RUNTIME_DIR or TMPDIR to a shorter folder" in refused.stderr
    assert "Traceback" not in refused.stderr
