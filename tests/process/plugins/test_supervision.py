from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.errors import ConnectorDown, NotFound
from gateway.plugins.model import ConnectorState, ExitClass
from gateway.plugins.spec import ConnectorSpec, Settings
from tests.support.launched import QUICK, Bench, MemoryStore, is_alive, plain
from tests.support.signals import send

pytestmark = pytest.mark.process

FEW_TRIES = timedelta(seconds=3)


async def test_a_connector_starts_when_it_is_needed_and_not_before(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        assert bench.connectors.status("plain").state is ConnectorState.DISCOVERED
        status = await bench.ready()
        assert (status.state, status.generation, status.display_name) == (ConnectorState.READY, 1, "Plain")
        assert status.memory_bytes > 0
        assert (await bench.connectors.describe("plain")).version == "1.2.3"


async def test_a_killed_connector_is_ready_again_as_a_new_generation(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        first = await bench.ready()
        send(first.pid, signal.SIGKILL)
        status = await bench.until(ConnectorState.READY, newer_than=1)
        assert (status.generation, status.restarts) == (2, 1)
        (death,) = bench.connectors.deaths("plain")
        assert (death.exit_class, death.signal, death.generation) == (ExitClass.SIGNAL, "SIGKILL", 1)


async def test_a_death_is_told_as_it_is_followed_up(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        first = await bench.ready()
        changes = bench.connectors.watch("plain")
        await anext(changes)
        send(first.pid, signal.SIGKILL)
        async with asyncio.timeout(20):
            states = [(await anext(changes)).state for _ in range(5)]
        await bench.ready()
        assert states == ["CRASHED", "BACKOFF", "VERIFYING", "STARTING", "READY"]


async def test_generations_grow_over_lives_of_the_gateway(tmp_path: Path) -> None:
    for generation in (1, 2):
        async with Bench(tmp_path) as bench:
            assert (await bench.ready()).generation == generation


async def test_a_connector_that_cannot_be_configured_is_not_started_again(tmp_path: Path) -> None:
    async with Bench(tmp_path, [plain("refuse-78")]) as bench:
        with pytest.raises(ConnectorDown, match="QUARANTINED: no engine here; install it"):
            await bench.ready()
        assert bench.connectors.status("plain").generation == 1
        assert bench.connectors.deaths("plain")[0].exit_class is ExitClass.CONFIG


async def test_a_connector_that_dies_at_its_start_gives_one_error_with_its_last_lines(tmp_path: Path) -> None:
    async with Bench(tmp_path, [plain("exit-1")]) as bench:
        with pytest.raises(ConnectorDown) as caught:
            await bench.connectors.client("plain", FEW_TRIES)
        assert "exited with code 1 before its handshake" in caught.value.message
        assert "Traceback: the library is not installed" in caught.value.message
        assert {death.exit_class for death in bench.connectors.deaths("plain")} == {ExitClass.ERROR}


@pytest.mark.parametrize("exits", [(), ("slow-exit",)])
async def test_a_connector_that_asks_to_be_tried_again_is(tmp_path: Path, exits: tuple[str, ...]) -> None:
    async with Bench(tmp_path, [plain("refuse-75", *exits)]) as bench:
        with pytest.raises(ConnectorDown, match="no engine here"):
            await bench.connectors.client("plain", FEW_TRIES)
        assert {death.exit_class for death in bench.connectors.deaths("plain")} == {ExitClass.TEMPORARY}
        assert len(bench.connectors.deaths("plain")) > 1


async def test_a_command_that_does_not_exist_is_named(tmp_path: Path) -> None:
    spec = replace(plain(), command=("/nowhere/program",))
    async with Bench(tmp_path, [spec]) as bench:
        with pytest.raises(
            ConnectorDown, match=r"cannot run /nowhere/program: .*; correct `command` in connector\.toml"
        ):
            await bench.ready()


async def test_a_connector_that_never_shakes_hands_is_given_up_in_time(tmp_path: Path) -> None:
    limits = replace(QUICK, handshake=timedelta(milliseconds=300))
    async with Bench(tmp_path, [plain("mute")], limits) as bench:
        with pytest.raises(ConnectorDown, match=r"no handshake came within 0\.3 s"):
            await bench.connectors.client("plain", FEW_TRIES)
        assert bench.connectors.deaths("plain")[0].exit_class is ExitClass.START_TIMEOUT


async def test_a_connector_of_another_protocol_is_quarantined(tmp_path: Path) -> None:
    async with Bench(tmp_path, [plain("protocol-2")]) as bench:
        with pytest.raises(ConnectorDown, match="QUARANTINED: it speaks protocol 2"):
            await bench.ready()


async def test_answers_without_the_processs_token_are_refused(tmp_path: Path) -> None:
    async with Bench(tmp_path, [plain("no-proof")]) as bench:
        with pytest.raises(ConnectorDown, match="did not come from the process that this gateway launched"):
            await bench.ready()
        assert bench.connectors.deaths("plain")[0].exit_class is ExitClass.PROTOCOL_MISMATCH


# F1
async def test_prints_before_the_handshake_and_long_lines_do_no_harm(tmp_path: Path) -> None:
    async with Bench(tmp_path, [plain("banner", "flood")]) as bench:
        assert (await bench.ready()).state is ConnectorState.READY
        assert "Welcome to the platform!" in bench.heard
        assert "x" * 70_000 in bench.heard
        assert "Welcome to the platform!" in bench.connectors.last_lines("plain")


async def test_a_connector_sees_only_what_is_allowed_or_declared_of_the_environment(tmp_path: Path) -> None:
    environment = {**os.environ, "CANARY_SECRET": "1", "ACME_REGION": "eu", "LC_TIME": "C"}
    async with Bench(tmp_path, [plain(env_allow=("ACME_REGION",))], environment=environment) as bench:
        await bench.ready()
        seen = (bench.folders.work_dir("plain") / "environment.json").read_text()
    assert "CANARY_SECRET" not in seen
    assert "ACME_REGION" in seen
    assert "LC_TIME" in seen


async def test_a_stop_leaves_no_process_and_no_socket(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        pid = (await bench.ready()).pid
        assert bench.leftovers()
    assert not is_alive(pid)
    assert bench.leftovers() == []
    assert bench.connectors.status("plain").state is ConnectorState.STOPPED
    assert bench.connectors.deaths("plain") == ()


# F16
async def test_a_connector_that_ignores_every_request_to_end_is_killed(tmp_path: Path) -> None:
    async with Bench(tmp_path, [plain("stubborn")]) as bench:
        pid = (await bench.ready()).pid
    assert not is_alive(pid)
    assert bench.leftovers() == []


async def test_a_connector_that_is_still_starting_can_be_stopped(tmp_path: Path) -> None:
    async with Bench(tmp_path, [plain("mute")]) as bench:
        waiting = asyncio.create_task(bench.ready())
        pid = (await bench.until(ConnectorState.STARTING)).pid
    with pytest.raises(ConnectorDown, match="the gateway is being stopped"):
        await waiting
    assert pid == 0 or not is_alive(pid)
    assert bench.leftovers() == []


async def test_a_connector_that_waits_for_its_next_start_can_be_disabled(tmp_path: Path) -> None:
    async with Bench(tmp_path, [plain("exit-1")]) as bench:
        waiting = asyncio.create_task(bench.ready())
        await bench.until(ConnectorState.BACKOFF)
        assert (await bench.connectors.disable("plain")).state is ConnectorState.DISABLED
        with pytest.raises(ConnectorDown, match="DISABLED"):
            await waiting


async def test_a_frozen_connector_is_killed_and_started_again(tmp_path: Path) -> None:
    tenth = timedelta(milliseconds=100)
    async with Bench(tmp_path, limits=replace(QUICK, probe_interval=tenth, probe_timeout=tenth * 2)) as bench:
        first = await bench.ready()
        send(first.pid, signal.SIGSTOP)
        await bench.until(ConnectorState.DEGRADED)
        await bench.until(ConnectorState.READY, newer_than=first.generation)
        assert bench.connectors.deaths("plain")[0].exit_class is ExitClass.UNRESPONSIVE


async def test_a_disabled_connector_ends_and_stays_ended_until_it_is_enabled(tmp_path: Path) -> None:
    store = MemoryStore()
    async with Bench(tmp_path, store=store) as bench:
        pid = (await bench.ready()).pid
        assert (await bench.connectors.disable("plain")).state is ConnectorState.DISABLED
        assert not is_alive(pid)
        with pytest.raises(ConnectorDown, match="DISABLED"):
            await bench.ready()
    async with Bench(tmp_path, store=store) as bench:
        assert bench.connectors.status("plain").state is ConnectorState.DISABLED
        await bench.connectors.enable("plain")
        assert (await bench.ready()).state is ConnectorState.READY


async def test_the_owner_can_switch_a_connector_off_in_the_settings(tmp_path: Path) -> None:
    async with Bench(tmp_path, [replace(plain(), settings=Settings(enabled=False))]) as bench:
        assert bench.connectors.status("plain").state is ConnectorState.DISABLED


async def test_a_restart_ends_the_process_in_order_and_starts_another(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        first = await bench.ready()
        status = await bench.connectors.restart("plain")
        assert (status.state, status.generation) == (ConnectorState.READY, 2)
        assert not is_alive(first.pid)
        assert bench.connectors.deaths("plain") == ()


async def test_a_restart_reads_the_connectors_files_again(tmp_path: Path) -> None:
    broken = ConnectorSpec(id="plain", origin="a test", problem="connector.toml: command: missing")
    async with Bench(tmp_path, [broken]) as bench:
        assert bench.connectors.status("plain").state is ConnectorState.QUARANTINED
        with pytest.raises(ConnectorDown, match=r"connector\.toml: command: missing"):
            await bench.ready()
        bench.specs[:] = [plain()]
        assert (await bench.connectors.restart("plain")).state is ConnectorState.READY


# F15
async def test_a_broken_connector_harms_no_other(tmp_path: Path) -> None:
    async with Bench(tmp_path, [plain("exit-1", connector_id="broken"), plain()]) as bench:
        broken = asyncio.create_task(bench.connectors.client("broken", timedelta(seconds=2)))
        assert (await bench.ready()).state is ConnectorState.READY
        with pytest.raises(ConnectorDown):
            await broken


async def test_a_connector_that_is_not_known_is_named(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        with pytest.raises(NotFound, match="nobody"):
            bench.connectors.status("nobody")
