"""What the page on testing tells authors to write, written and run."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

from connector_sdk.testing.platform import Conditions
from connector_sdk.testing.platform.switches import Faults

pytestmark = pytest.mark.process

PAGE = Path(__file__).parents[3] / "docs" / "testing.md"
RUN_SECONDS = 110


async def test_the_example_runs(tmp_path: Path) -> None:
    files = re.findall(r"<!-- file: (\S+) -->\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert [name for name, _ in files] == ["acme_api.py", "acme_connector.py", "test_acme.py"]
    for name, code in files:
        (tmp_path / name).write_text(code)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_acme.py"]
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=tmp_path, capture_output=True, text=True, timeout=RUN_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_the_page_names_every_switch() -> None:
    text = PAGE.read_text()
    switches = [name for name in vars(Faults) if not name.startswith("_")]
    assert len(switches) >= 9
    for name in switches:
        assert f"`{name}(" in text, name
    for name in Conditions.model_fields:
        assert f"`{name}`" in text, name
