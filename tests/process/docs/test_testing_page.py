"""What the page on testing tells authors to write, written and run."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from connector_sdk.testing import fake_platform
from connector_sdk.testing.platform import Conditions
from connector_sdk.testing.platform.switches import Faults

pytestmark = pytest.mark.process

PAGE = Path(__file__).parents[3] / "docs" / "testing.md"
RUN_SECONDS = 110


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = re.findall(r"<!-- file: (\S+) -->\n```[a-z]+\n(.*?)```", PAGE.read_text(), re.DOTALL)
    for name, code in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(code)
    assert {path.name for path in tmp_path.rglob("test_*.py")} == {
        *("test_acme.py", "test_acme_recorded.py", "test_fixed_address.py"),
    }
    return tmp_path


async def run(project: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", *arguments]
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=project, capture_output=True, text=True, timeout=RUN_SECONDS, check=False
    )
    return done.stdout + done.stderr


async def test_the_examples_run_and_are_recorded(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(project)
    async with fake_platform("acme_api:AcmeApi") as platform:
        (project / "credentials.json").write_text(json.dumps(platform.credentials))
        assert "1 passed" in await run(project, "--record-http", "credentials.json", "-k", "a_pod_runs")
    assert (project / "cassettes" / "test_acme_recorded" / "test_a_pod_runs.json").exists()
    assert "3 passed" in await run(project)


async def test_a_miss_reads_as_the_page_says(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = PAGE.read_text()
    miss = re.search(r"<!-- a miss -->\n```text\n(.*?)```", text, re.DOTALL)
    assert miss is not None
    monkeypatch.syspath_prepend(project)
    async with fake_platform("acme_api:AcmeApi") as platform:
        (project / "credentials.json").write_text(json.dumps(platform.credentials))
        await run(project, "--record-http", "credentials.json", "-k", "a_pod_runs")
    test = project / "test_acme.py"
    test.write_text(test.read_text().replace('base_model="m"', 'base_model="n"'))
    said = await run(project, "-k", "a_pod_runs")
    assert miss[1] in said.replace(platform.url, "https://api.acme.example"), said


def test_the_page_names_every_switch() -> None:
    text = PAGE.read_text()
    switches = [name for name in vars(Faults) if not name.startswith("_")]
    assert len(switches) >= 9
    for name in switches:
        assert f"`{name}(" in text, name
    for name in Conditions.model_fields:
        assert f"`{name}`" in text, name
