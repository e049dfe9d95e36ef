"""The rest of the guide's code, untouched but for where packages live: registration, configuration, and its tests."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from connector_sdk.testing import ConnectorHarness
from gateway.client import Client
from peftstudio.connector.v1 import connector_service_pb2 as pb
from tests.support.gateway_process import gateway_process
from tests.support.guide import page
from tests.support.guide.hosts import Hosts, serving
from tests.support.guide.my_platform import MyPlatform

pytestmark = pytest.mark.process

RUN_SECONDS = 100
CONNECTOR = Path("plugins/connectors/my_platform_connector.py")
LEFT_OUT = """\
import asyncio, os, pytest
from connectors.base import TrainingConfig as _Config
from plugins.connectors.my_platform_connector import MyPlatformConnector

def TrainingConfig(_):
    return _Config(base_model="m", dataset_path="d")

"""
"""What the guide's integration test leaves to the reader: its imports, and the configuration that `...` stands for."""


@pytest.fixture
def backend(tmp_path: Path) -> Path:
    """The guide's source tree, with its connector in place."""
    path = tmp_path / "backend" / CONNECTOR
    path.parent.mkdir(parents=True)
    path.write_text(page.block("Step 1: Create Connector File"))
    return tmp_path / "backend"


@pytest.fixture
async def hosts(tmp_path: Path) -> AsyncIterator[Hosts]:
    # Done at once: the guide's test would wait 10 s between two looks.
    async with serving(MyPlatform(course=("completed",)).app(), "api.myplatform.com", tmp_path) as found:
        yield found


async def run_tests(backend: Path, hosts: Hosts, code: str) -> str:
    """Run a file of tests in the guide's tree."""
    (backend / "test_my_platform_connector.py").write_text(code)
    pytest_command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto"]
    done = await asyncio.to_thread(
        subprocess.run,
        [*hosts.prefix, *pytest_command, "test_my_platform_connector.py"],
        cwd=backend,
        env={**os.environ, "SSL_CERT_FILE": str(hosts.certificates), "MY_PLATFORM_API_KEY": "valid_key"},
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def test_the_unit_tests_pass(backend: Path, hosts: Hosts) -> None:
    assert "4 passed" in await run_tests(backend, hosts, page.block("Unit Tests"))


async def test_the_integration_test_passes(backend: Path, hosts: Hosts) -> None:
    assert "1 passed" in await run_tests(backend, hosts, LEFT_OUT + page.block("Integration Tests"))


async def test_what_is_registered_by_hand_can_be_served(backend: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(backend)
    registered: dict[str, list[type]] = {}
    exec(page.block("Step 2: Register Connector"), registered)
    (connector_class,) = registered["CONNECTORS"]
    async with ConnectorHarness(connector_class) as harness:
        said = await harness.stub.Describe(pb.DescribeRequest(), timeout=10)
    assert (said.name, list(said.features)) == ("myplatform", ["training", "inference"])


async def test_the_configuration_file_applies(backend: Path, tmp_path: Path) -> None:
    settings = tmp_path / "connectors.json"
    settings.write_text(page.block("Step 3: Add Configuration"))
    arguments = ("--plugins", str((backend / CONNECTOR).parent), "--config", str(settings))
    async with (
        gateway_process(tmp_path / "data", *arguments) as gateway,
        Client(data_dir=gateway.data_dir) as client,
    ):
        one = await client.connectors.get("myplatform")
    assert (one.requests_per_minute, one.concurrent_jobs) == (60, 5)
    assert one.credentials_schema["required"] == ["api_key"]
    assert one.documentation_url == "https://docs.myplatform.com"
    assert "ignored" not in gateway.log_path.read_text()
