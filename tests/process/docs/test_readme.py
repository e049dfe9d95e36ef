"""What the README tells people to type, typed."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.gateway_process import PEFTSTUDIO, GatewayProcess, gateway_process
from tests.support.tiny_model import make_tiny_model, pair_rows, write_jsonl

pytestmark = pytest.mark.process

README = Path(__file__).parents[3] / "README.md"
RUN_SECONDS = 110


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model and the data.jsonl of the README."""
    folder = tmp_path_factory.mktemp("readme")
    make_tiny_model(folder / "model")
    write_jsonl(folder / "data.jsonl", pair_rows(8))
    return folder


def block(name: str) -> str:
    """Return the code behind a `run:` comment."""
    found = re.search(rf"<!-- run: {re.escape(name)} -->\n```\w+\n(.*?)```", README.read_text(), re.DOTALL)
    assert found, f"README.md has no code block called {name!r}"
    return found[1]


async def run(workplace: Path, gateway: GatewayProcess, *command: str) -> str:
    environment = {
        **os.environ,
        "PATH": f"{PEFTSTUDIO.parent}:{os.environ['PATH']}",
        "PEFTSTUDIO_DATA_DIR": str(gateway.data_dir),
        "PEFTSTUDIO_ADDRESS": str(gateway.endpoint["address"]),
        "MODEL": str(workplace / "model"),
    }
    done = await asyncio.to_thread(
        subprocess.run,
        command,
        cwd=workplace,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def test_the_command_line_of_the_readme_trains_and_fetches_an_adapter(workplace: Path, tmp_path: Path) -> None:
    async with gateway_process(tmp_path / "data") as gateway:
        commands = block("command line").removeprefix("peftstudio serve &\n")
        printed = await run(workplace, gateway, "bash", "-euo", "pipefail", "-c", commands)
        assert "succeeded" in printed
        assert (workplace / "adapter" / "adapter_model.safetensors").stat().st_size > 1000


async def test_buf_curl_alone_connects_submits_follows_and_fetches(workplace: Path, tmp_path: Path) -> None:
    async with gateway_process(tmp_path / "data") as gateway:
        printed = await run(workplace, gateway, "bash", "-euo", "pipefail", "-c", block("buf"))
        assert '"finalState": "JOB_STATE_SUCCEEDED"' in printed
        output = next((gateway.data_dir / "instances" / "local" / "jobs").glob("*/output/adapter_model.safetensors"))
        assert (workplace / "adapter.safetensors").read_bytes() == output.read_bytes()


async def test_the_python_client_of_the_readme_trains_and_fetches_an_adapter(workplace: Path, tmp_path: Path) -> None:
    async with gateway_process(tmp_path / "data") as gateway:
        await run(workplace, gateway, str(PEFTSTUDIO), "connections", "connect", "local")
        code = f"import os\nMODEL = os.environ['MODEL']\n{block('python')}"
        await run(workplace, gateway, sys.executable, "-c", code)
        assert (workplace / "adapter-from-python" / "adapter_model.safetensors").stat().st_size > 1000


async def test_the_example_client_trains_and_fetches_an_adapter(workplace: Path, tmp_path: Path) -> None:
    async with gateway_process(tmp_path / "data") as gateway:
        await run(workplace, gateway, str(PEFTSTUDIO), "connections", "connect", "local")
        example = README.parent / "examples" / "clients" / "python" / "train.py"
        printed = await run(
            workplace, gateway, sys.executable, str(example), "local", str(workplace / "model"), "data.jsonl"
        )
        assert "adapter_model.safetensors" in printed
