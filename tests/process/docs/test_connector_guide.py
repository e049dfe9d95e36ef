"""What the connector guide tells authors to write, written, tested, and run behind a gateway."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from connector_sdk.connector import PlatformConnector
from connector_sdk.testing import fake_platform
from gateway.client import Client
from tests.support.gateway_process import gateway_process

pytestmark = pytest.mark.process

PAGE = Path(__file__).parents[3] / "docs" / "connector-guide.md"
RUN_SECONDS = 110
WAIT = timedelta(seconds=60)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A folder with the files of the page."""
    folder = tmp_path / "written"
    folder.mkdir()
    files = re.findall(r"<!-- file: (\S+) -->\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert [name for name, _ in files] == ["meadow_connector.py", "test_meadow.py"]
    for name, code in files:
        (folder / name).write_text(code)
    return folder


async def test_the_pages_test_passes(written: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_meadow.py"]
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=written, capture_output=True, text=True, timeout=RUN_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


async def test_the_pages_connector_trains_behind_a_gateway(written: Path, tmp_path: Path) -> None:
    (written / "test_meadow.py").unlink()
    async with (
        fake_platform() as platform,
        gateway_process(tmp_path / "data", "--plugins", str(written)) as gateway,
        Client(data_dir=gateway.data_dir) as client,
    ):
        connection = await client.connections.connect("meadow", platform.credentials)
        (machine, *_) = [one async for one in client.catalog.resources(connection.id)]
        assert (await client.catalog.price(connection.id, machine.id)).amount_micros > 0
        config = {"base_model": "m", "dataset_path": "d", "options": {"lines": 20, "seconds": 1}}
        job = await client.jobs.submit(connection.id, config, resource_id=machine.id)
        assert len([line async for line in client.jobs.logs(job.id, follow=True)]) == 20
        assert (await client.jobs.wait(job.id, WAIT)).status == "completed"
        assert len((await client.jobs.metrics(job.id, names=["loss"])).metrics) == 20
        (file,) = await client.artifacts.download(job.id, tmp_path / "adapter")
        assert (await client.artifacts.upload(file, connection.id)).endswith(file.name)
        assert f"job {job.platform_job_id or ''}" in gateway.log_path.read_text()


def test_the_page_names_the_hooks_that_are_worth_writing() -> None:
    text = PAGE.read_text()
    hooks = [name for name, item in vars(PlatformConnector).items() if callable(item) and not name.startswith("_")]
    left_out = {"pause_job", "resume_job", "search_models", "get_model_metadata", "check_config", "get_metrics_since"}
    assert [name for name in hooks if name not in text and name not in left_out] == []
