"""A gateway is killed; what its connectors do, and what the next gateway makes of them."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from gateway.plugins.limits import HostLoss
from gateway.plugins.model import ConnectorState
from gateway.plugins.overrides import Overrides
from gateway.plugins.spec import ConnectorSpec
from tests.support.launched import PATIENCE_SECONDS, Bench, plain

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[3]
LAB = ROOT / "tests" / "support" / "plugins" / "lab_connector.py"
LINGERING = Overrides(host_loss=HostLoss.LINGER)
GATEWAY = """
import asyncio, sys
from pathlib import Path
from tests.process.plugins.test_adoption import SPECS
from tests.support.launched import Bench

async def main() -> None:
    async with Bench(Path(sys.argv[1]), [SPECS[sys.argv[2]]]) as bench:
        pid = (await bench.ready()).pid
        if sys.argv[2] != "sdk":
            await bench.platform().verify()
        print(pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""
SPECS = {
    "exit": plain(),
    "plain": replace(plain(), overrides=LINGERING),
    "sdk": ConnectorSpec(
        id="plain",
        origin="a test",
        command=(sys.executable, "-m", "connector_sdk", "serve", str(LAB)),
        overrides=LINGERING,
    ),
}


@pytest.fixture
def runtime_dir(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="p") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield folder


def is_gone(pid: int) -> bool:
    # Whoever inherits an orphan here may leave it a zombie.
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def until_gone(pid: int, seconds: float = PATIENCE_SECONDS) -> None:
    async with asyncio.timeout(seconds):
        # Nobody tells of the end of a process that is not one's child.
        while not is_gone(pid):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@asynccontextmanager
async def lost_gateway(data_dir: Path, kind: str) -> AsyncIterator[int]:
    """Run a gateway until its connector is ready, and kill it; give the connector's number."""
    gateway = await asyncio.create_subprocess_exec(
        sys.executable, "-c", GATEWAY, str(data_dir), kind, stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert gateway.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            pid = int(await gateway.stdout.readline())
    finally:
        gateway.send_signal(signal.SIGKILL)
    try:
        yield pid
    finally:
        if not is_gone(pid):
            psutil.Process(pid).kill()
        await gateway.wait()


async def test_a_connector_that_shall_exit_does_so_within_a_second(tmp_path: Path, runtime_dir: str) -> None:
    async with lost_gateway(tmp_path, "exit") as pid:
        begun = time.monotonic()
        await until_gone(pid)
        print(f"gone after {time.monotonic() - begun:.3f} s")
        assert not Bench(tmp_path).folders.state_file("plain", 1).exists()


@pytest.mark.parametrize("kind", ["plain", "sdk"])
async def test_a_lingering_connector_is_taken_over_by_the_next_gateway(
    tmp_path: Path, runtime_dir: str, kind: str
) -> None:
    async with lost_gateway(tmp_path, kind) as pid:
        begun = time.monotonic()
        async with Bench(tmp_path, [SPECS[kind]]) as bench:
            assert bench.connectors.status("plain").state is ConnectorState.ADOPTING
            status = await bench.ready()
            print(f"taken over in {time.monotonic() - begun:.3f} s")
            assert (status.pid, status.generation, status.restarts) == (pid, 1, 0)
        assert is_gone(pid)
        assert not bench.folders.state_file("plain", 1).exists()


async def test_a_connector_that_was_taken_over_and_dies_is_started_again(tmp_path: Path, runtime_dir: str) -> None:
    async with lost_gateway(tmp_path, "plain") as pid, Bench(tmp_path, [SPECS["plain"]]) as bench:
        await bench.ready()
        psutil.Process(pid).kill()
        status = await bench.until(ConnectorState.READY, newer_than=1)
        assert (status.generation, len(bench.connectors.deaths("plain"))) == (2, 1)


@pytest.mark.parametrize(("key", "value"), [("connector_token", "another"), ("digest", "sha256:another")])
async def test_a_process_that_does_not_prove_itself_is_ended_and_replaced(
    tmp_path: Path, runtime_dir: str, key: str, value: str
) -> None:
    async with lost_gateway(tmp_path, "plain") as pid:
        bench = Bench(tmp_path, [SPECS["plain"]])
        path = bench.folders.state_file("plain", 1)
        path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
        async with bench:
            status = await bench.ready()
            assert status.pid != pid
            assert status.generation == 2
            assert is_gone(pid)


async def test_a_process_that_was_being_exchanged_for_another_is_ended(tmp_path: Path, runtime_dir: str) -> None:
    async with lost_gateway(tmp_path, "plain") as pid:
        bench = Bench(tmp_path, [SPECS["plain"]])
        bench.folders.note_generation("plain", 2)
        async with bench:
            assert (await bench.ready()).generation == 3
            assert is_gone(pid)
            assert bench.folders.state_files("plain") == [bench.folders.state_file("plain", 3)]


async def test_a_connection_is_opened_anew_in_a_process_that_was_taken_over(tmp_path: Path, runtime_dir: str) -> None:
    async with lost_gateway(tmp_path, "plain") as pid, Bench(tmp_path, [SPECS["plain"]]) as bench:
        platform = bench.platform(key="another-key")
        assert [await platform.verify() for _ in range(2)] == [f"tester {pid} 2"] * 2
        assert bench.loads == 1


async def test_what_a_lingering_connector_prints_meanwhile_is_not_lost(tmp_path: Path, runtime_dir: str) -> None:
    async with lost_gateway(tmp_path, "plain"), Bench(tmp_path, [SPECS["plain"]]) as bench:
        await bench.ready()
        await bench.platform(key="a-key-of-the-account").verify()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not any("credentials" in line for line in bench.heard):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert not any("a-key-of-the-account" in line for line in bench.heard)


async def test_the_state_file_is_its_owners_alone(tmp_path: Path, runtime_dir: str) -> None:
    async with Bench(tmp_path, [SPECS["plain"]]) as bench:
        await bench.ready()
        assert bench.folders.state_file("plain", 1).stat().st_mode & 0o777 == 0o600
