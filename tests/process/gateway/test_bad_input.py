"""What people get wrong, and what the command line tells them: one clear line each, and nothing is left behind."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
from pathlib import Path

import pytest

from tests.support.gateway_process import PEFTSTUDIO, GatewayProcess, gateway_process, operators_environment
from tests.support.tiny_model import pair_rows, write_jsonl

pytestmark = pytest.mark.process

FAILED, NOT_FOUND, REFUSED, UNAVAILABLE = 1, 3, 4, 6
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_jsonl(tmp_path_factory.mktemp("data") / "data.jsonl", pair_rows())


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks like a model: nothing here comes so far as to load it."""
    folder = tmp_path_factory.mktemp("model")
    (folder / "config.json").write_text('{"model_type": "llama"}')
    return folder


async def peftstudio(gateway: GatewayProcess | Path, *arguments: str) -> tuple[int, str]:
    """Run a command and return its exit code and what it says on stderr."""
    data_dir = gateway.data_dir if isinstance(gateway, GatewayProcess) else gateway
    environment = {**operators_environment(), "PEFTSTUDIO_DATA_DIR": str(data_dir)}
    done = await asyncio.to_thread(
        subprocess.run,
        [str(PEFTSTUDIO), *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, done.stderr


async def submit(gateway: GatewayProcess, *arguments: str) -> tuple[int, str]:
    return await peftstudio(gateway, "jobs", "submit", "-c", "local", "--json", *arguments)


async def test_every_bad_submission_is_refused_with_its_fields_and_stores_nothing(
    gateway: GatewayProcess, model: Path, data: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"prompt": "a", "completion": "b"}\n{"prompt": oops}\n')
    assert (await peftstudio(gateway, "connections", "connect", "local"))[0] == 0
    good = ["-m", str(model), "-d", str(data)]
    cases: list[tuple[list[str], int, list[str]]] = [
        (["-m", "/no/model", "-d", str(data)], REFUSED, ["config.base_model: /no/model not found"]),
        (["-m", str(model), "-d", str(broken)], REFUSED, ["config.dataset_path", "line 2: not valid JSON"]),
        (["-m", str(model), "-d", "/no/data", "--no-upload"], REFUSED, ["config.dataset_path", "/no/data"]),
        ([*good, "--algorithm", "lorra"], REFUSED, ["config.algorithm: 'lorra' is not offered", "rslora"]),
        ([*good, "--set", "nonsense=1"], REFUSED, ["config.nonsense: there is no such field"]),
        ([*good, "--resource", "h100"], REFUSED, ["resource_id", "h100"]),
        ([*good, "-c", "nowhere"], NOT_FOUND, ["there is no connection 'nowhere'"]),
        # What the gateway finds and what the connector finds come together.
        (
            ["-m", "/no/model", "-d", str(broken), "--rank", "0", "--alpha", "-1"],
            REFUSED,
            ["config.rank: is 0", "config.alpha: is -1", "config.base_model: /no/model", "line 2"],
        ),
    ]
    for arguments, code, words in cases:
        returned, said = await submit(gateway, *arguments)
        assert returned == code, said
        assert [word for word in words if word not in said] == []
    assert (await peftstudio(gateway, "jobs", "list"))[0] == 0
    assert not list((gateway.data_dir / "instances" / "local").glob("jobs/peft-*"))
    assert not list((gateway.data_dir / "logs").glob("*"))


async def test_unknown_things_are_named_with_the_command_that_lists_them(gateway: GatewayProcess) -> None:
    for arguments, words in {
        ("connections", "connect", "nosuch"): ["there is no connector 'nosuch'", "connectors list"],
        ("connections", "verify", "nosuch"): ["there is no connection 'nosuch'", "connections list"],
        ("jobs", "get", "job-nosuch"): ["job-nosuch", "jobs list"],
    }.items():
        code, said = await peftstudio(gateway, *arguments)
        assert code == NOT_FOUND
        assert [word for word in words if word not in said] == []
        assert len(said.strip().splitlines()) == 1


async def test_a_connector_that_cannot_start_says_why_and_harms_no_other(tmp_path: Path) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "broken_connector.py").write_text(
        "from connectors.base import PlatformConnector\nimport no_such_module\n\n\n"
        'class Broken(PlatformConnector):\n    name = "broken"\n'
    )
    async with gateway_process(tmp_path / "data", "--plugins", str(plugins)) as gateway:
        code, said = await peftstudio(gateway, "connections", "connect", "broken")
        assert code == UNAVAILABLE
        assert "No module named 'no_such_module'" in said
        assert "connectors diagnose broken" in said
        assert len(said.strip().splitlines()) == 1
        assert (await peftstudio(gateway, "connections", "connect", "local"))[0] == 0


async def test_a_port_in_use_a_folder_in_use_and_a_folder_that_cannot_be_written(
    gateway: GatewayProcess, tmp_path: Path
) -> None:
    port = str(gateway.endpoint["address"]).rpartition(":")[2]
    for arguments, data_dir, words in (
        (("serve", "--port", port), tmp_path / "other", f"port {port} of 127.0.0.1 cannot be used"),
        (("serve", "--port", "0"), gateway.data_dir, "another gateway is running"),
        (("serve", "--port", "0"), Path("/dev/null/data"), "cannot be written"),
        (("serve", "--host", "0.0.0.0", "--port", "0"), tmp_path / "open", "--tls-certificate"),
    ):
        code, said = await peftstudio(data_dir, *arguments)
        assert code == FAILED, said
        assert words in said
        assert len(said.strip().splitlines()) == 1, said
    # The one that runs is unharmed.
    assert (await peftstudio(gateway, "connectors", "list"))[0] == 0


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="the size of another process's files: Linux only")
async def test_a_full_disk_is_said_in_words_and_an_upload_goes_on_when_there_is_space_again(
    gateway: GatewayProcess, tmp_path: Path
) -> None:
    large = tmp_path / "large.txt"
    large.write_bytes(os.urandom(4 * MIB).hex().encode())
    limits = resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (MIB, limits[1]))
    code, said = await peftstudio(gateway, "datasets", "upload", str(large))
    assert code not in (0, 2), said
    assert "free" in said
    resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, limits)
    code, said = await peftstudio(gateway, "datasets", "upload", str(large))
    assert code == 0, said
