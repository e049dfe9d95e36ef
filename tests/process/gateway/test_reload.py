"""A connector whose files change while the gateway runs."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from peftstudio.gateway.v1 import connections_service_pb2, connectors_service_pb2, jobs_service_pb2
from peftstudio.gateway.v1.connectors_service_pb2 import (
    CONNECTOR_STATE_DISABLED,
    CONNECTOR_STATE_DISCOVERED,
    CONNECTOR_STATE_QUARANTINED,
    CONNECTOR_STATE_READY,
    Connector,
)
from peftstudio.job.v1.job_state_pb2 import JOB_STATE_SUCCEEDED
from peftstudio.job.v1.training_config_pb2 import TrainingConfig
from tests.process.gateway.conftest import ended, eventually, expected, follow
from tests.support.gateway_process import PLUGINS, Stubs, gateway_process
from tests.support.signals import send

pytestmark = pytest.mark.process

SOURCE = (PLUGINS / "lab_connector.py").read_text().replace('name = "lab"', 'name = "annex"')


@dataclass
class Annex:
    """A gateway with a connector that the test writes."""

    stubs: Stubs
    folder: Path
    data_dir: Path

    def write(self, version: str, extra: str = "") -> None:
        text = SOURCE.replace('version = "1.0.0"', f'version = "{version}"') + extra
        fresh = self.folder / ".fresh"
        fresh.write_text(text)
        fresh.replace(self.path)

    @property
    def path(self) -> Path:
        return self.folder / "annex_connector.py"

    async def all(self) -> dict[str, Connector]:
        answer = await self.stubs.connectors.ListConnectors(connectors_service_pb2.ListConnectorsRequest(), timeout=30)
        return {one.id: one for one in answer.connectors}

    async def until(self, is_so: Callable[[Connector], bool]) -> Connector:
        found: list[Connector] = []

        async def look() -> bool:
            found.extend(one for one in [(await self.all()).get("annex")] if one and is_so(one))
            return bool(found)

        await eventually(look)
        return found[0]

    async def connect(self) -> Connector:
        request = connections_service_pb2.ConnectRequest(connector_id="annex", credentials={"api_key": "canary-1b2c3"})
        await self.stubs.connections.Connect(request, timeout=30)
        return await self.until(lambda one: one.state == CONNECTOR_STATE_READY)

    async def submit(self, **options: float) -> str:
        config = TrainingConfig(base_model="m", dataset_path="d")
        config.options.update(options)
        request = jobs_service_pb2.SubmitJobRequest(connection_id="annex", config=config)
        return (await self.stubs.jobs.SubmitJob(request, timeout=30)).job.id


@asynccontextmanager
async def annex(tmp_path: Path, *arguments: str) -> AsyncIterator[Annex]:
    folder, data_dir = tmp_path / "more", tmp_path / "data"
    folder.mkdir()
    async with (
        gateway_process(data_dir, "--plugins", str(folder), *arguments) as gateway,
        gateway.connected() as stubs,
    ):
        yield Annex(stubs, folder, data_dir)


async def test_a_connector_that_comes_while_the_gateway_runs_can_be_used(tmp_path: Path) -> None:
    async with annex(tmp_path) as one:
        assert "annex" not in await one.all()
        one.write("1.0.0")
        assert (await one.until(lambda now: True)).state == CONNECTOR_STATE_DISCOVERED
        assert (await one.connect()).version == "1.0.0"


async def test_a_changed_connector_takes_over_and_a_log_that_streams_has_no_hole(tmp_path: Path) -> None:
    async with annex(tmp_path) as one:
        one.write("1.0.0")
        await one.until(lambda now: True)
        before = await one.connect()
        job_id = await one.submit(lines=4000, pace=1000)
        following = asyncio.create_task(follow(one.stubs, job_id))
        states = asyncio.create_task(changes_until(one, "2.0.0"))
        one.write("2.0.0")
        after = await one.until(lambda now: now.version == "2.0.0")
        assert after.state == CONNECTOR_STATE_READY
        assert after.generation > before.generation
        assert f"process {after.generation} took over from process {before.generation}" in after.reload
        assert await following == expected(4000)
        assert (await ended(one.stubs, job_id)).state == JOB_STATE_SUCCEEDED
        # Whoever watches sees the one serve and then the other, and nothing between.
        assert set(await states) == {CONNECTOR_STATE_READY}

        async def is_gone() -> bool:
            return not psutil.pid_exists(before.pid)

        await eventually(is_gone)
        assert not list((one.data_dir / "flight").rglob("*.json"))


async def changes_until(one: Annex, version: str) -> list[int]:
    states: list[int] = []
    request = connectors_service_pb2.WatchConnectorsRequest(connector_id="annex")
    async for message in one.stubs.connectors.WatchConnectors(request, timeout=60):
        if message.HasField("connector"):
            states.append(message.connector.state)
            if message.connector.version == version:
                break
    return states


@pytest.mark.parametrize(
    ("extra", "why"),
    [
        ("\nraise SystemExit(3)\n", "exited with code 3"),
        ("\nthis is no Python\n", "cannot be read"),
        ("\nimport no_such_module_anywhere\n", "No module named 'no_such_module_anywhere'"),
    ],
)
async def test_a_changed_connector_that_cannot_serve_leaves_the_one_that_does(
    tmp_path: Path, extra: str, why: str
) -> None:
    async with annex(tmp_path) as one:
        one.write("1.0.0")
        await one.until(lambda now: True)
        before = await one.connect()
        job_id = await one.submit(lines=2000, pace=1000)
        one.write("2.0.0", extra)
        after = await one.until(lambda now: bool(now.reload))
        assert (after.pid, after.generation, after.version) == (before.pid, before.generation, "1.0.0")
        assert after.state == CONNECTOR_STATE_READY
        assert f"process {before.generation} keeps serving with the files of before" in after.reload
        assert why in after.reload
        assert await follow(one.stubs, job_id) == expected(2000)
        one.write("3.0.0")
        assert (await one.until(lambda now: now.version == "3.0.0")).generation > before.generation


async def test_a_connector_whose_files_are_gone_serves_on_until_it_ends(tmp_path: Path) -> None:
    async with annex(tmp_path) as one:
        one.write("1.0.0")
        await one.until(lambda now: True)
        before = await one.connect()
        one.path.unlink()
        after = await one.until(lambda now: bool(now.reload))
        assert (after.pid, after.state) == (before.pid, CONNECTOR_STATE_READY)
        assert "its files are gone" in after.reload
        send(before.pid, signal.SIGKILL)
        assert "its files are gone" in (await one.until(lambda now: now.state == CONNECTOR_STATE_QUARANTINED)).message
        one.write("2.0.0")
        await one.until(lambda now: now.state != CONNECTOR_STATE_QUARANTINED)
        assert (await one.connect()).version == "2.0.0"


async def test_a_broken_connector_is_usable_as_soon_as_it_is_mended(tmp_path: Path) -> None:
    async with annex(tmp_path) as one:
        one.write("1.0.0", "\nthis is no Python\n")
        assert "annex_connector.py" in (await one.until(lambda now: now.state == CONNECTOR_STATE_QUARANTINED)).message
        one.write("1.0.1")
        await one.until(lambda now: now.state == CONNECTOR_STATE_DISCOVERED)
        assert (await one.connect()).version == "1.0.1"


async def test_the_strict_mode_does_not_let_changed_files_take_over(tmp_path: Path) -> None:
    async with annex(tmp_path, "--integrity", "strict") as one:
        one.write("1.0.0")
        await one.until(lambda now: True)
        before = await one.connect()
        one.write("2.0.0")
        after = await one.until(lambda now: bool(now.reload))
        assert (after.pid, after.version) == (before.pid, "1.0.0")
        assert "pinned-digest" in after.reload


async def test_what_the_owner_says_of_a_connector_holds_at_once(tmp_path: Path) -> None:
    async with annex(tmp_path) as one:
        one.write("1.0.0")
        await one.until(lambda now: True)
        before = await one.connect()
        settings = one.data_dir / "connectors.json"
        settings.write_text(json.dumps({"annex": {"rate_limits": {"concurrent_jobs": 7}}}))
        assert (await one.until(lambda now: now.concurrent_jobs == 7)).generation > before.generation
        settings.write_text("{ this is no JSON")
        settings.write_text(json.dumps({"annex": {"enabled": False}}))
        assert (await one.until(lambda now: now.state == CONNECTOR_STATE_DISABLED)).pid == 0
        settings.write_text("{}")
        await one.until(lambda now: now.state != CONNECTOR_STATE_DISABLED)
        assert (await one.connect()).concurrent_jobs == 0
