"""The failures of docs/failures.md that need a process, each done for real."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from gateway.errors import ConnectorDown, RemoteError
from gateway.jobs.model import Observation
from gateway.plugins.folders import write_private
from gateway.plugins.identity import identify
from gateway.plugins.model import ConnectorState, ExitClass
from gateway.plugins.overrides import Overrides
from gateway.plugins.spec import ConnectorSpec, Integrity, Settings
from tests.support.launched import PATIENCE_SECONDS, PLAIN, QUICK, Bench, is_alive, plain
from tests.support.signals import send

pytestmark = pytest.mark.process

SOON = timedelta(milliseconds=100)
PROBED_OFTEN = replace(QUICK, probe_interval=SOON, probe_timeout=SOON * 2, busy_hold=timedelta(0))
CANARY = "canary-7f3a91c2-secret"


async def until_true(claim: object) -> None:
    """Wait for what nobody tells of."""
    assert callable(claim)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not claim():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


# F3
async def test_many_starts_beside_grpc_all_reach_their_program_a_few_at_a_time(tmp_path: Path) -> None:
    specs = [plain(connector_id=f"c{number}") for number in range(8)]
    async with Bench(tmp_path, specs) as bench:
        most = 0

        async def watch() -> None:
            nonlocal most
            async for _ in bench.connectors.watch():
                most = max(most, sum(one.state is ConnectorState.STARTING and one.pid > 0 for one in all_of()))

        all_of = bench.connectors.list
        watching = asyncio.create_task(watch())
        limit = timedelta(seconds=60)
        await asyncio.gather(*(bench.connectors.client(spec.id, limit) for spec in specs))
        watching.cancel()
        assert [one.generation for one in all_of()] == [1] * 8
        assert 1 <= most <= 2


# F4
async def test_a_connector_does_not_hang_on_the_thread_that_launched_it(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await bench.ready()
        assert (bench.folders.work_dir("plain") / "parent-death-signal").read_text() == "0"


# F5
async def test_a_hung_connectors_stacks_are_in_its_flight_record(tmp_path: Path) -> None:
    async with Bench(tmp_path, limits=PROBED_OFTEN) as bench:
        await bench.ready()
        look = asyncio.create_task(bench.platform().look(["block"]))
        await bench.until(ConnectorState.BACKOFF)
        look.cancel()
        (death,) = bench.connectors.deaths("plain")
        record = json.loads(death.record)
    assert death.exit_class is ExitClass.UNRESPONSIVE
    assert "in block_for_ever" in record["stacks"]
    assert record["memory"][0]["memory_bytes"] > 0
    assert record["calls"][0]["method"] == "Describe"
    assert record["next_attempt"]


async def test_a_busy_connector_is_held_and_not_killed(tmp_path: Path) -> None:
    limits = replace(PROBED_OFTEN, busy_hold=timedelta(seconds=30))
    async with Bench(tmp_path, limits=limits) as bench:
        first = await bench.ready()
        look = asyncio.create_task(bench.platform().look(["spin"]))
        await until_true(lambda: "left alone" in bench.connectors.status("plain").message)
        await look
        status = await bench.until(ConnectorState.READY)
        assert (status.pid, bench.connectors.deaths("plain")) == (first.pid, ())


# F7
async def test_a_stale_socket_is_in_nobodys_way(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        stale = bench.folders.prepare("plain", 1)
        stale.touch()
        assert (await bench.ready()).state is ConnectorState.READY


def left_state(bench: Bench, pid: int, start_time: int) -> None:
    identity = identify(os.getpid())
    assert identity is not None
    content = {
        "pid": pid,
        "start_time": start_time,
        "boot_id": identity.boot_id,
        "generation": 1,
        "socket": str(bench.folders.socket("plain", 1)),
        "gateway_token": "a",
        "connector_token": "b",
    }
    write_private(bench.folders.state_file("plain", 1), json.dumps(content).encode())
    bench.folders.note_generation("plain", 1)


# F8
async def test_a_process_that_has_anothers_number_is_never_signalled(tmp_path: Path) -> None:
    innocent = await asyncio.create_subprocess_exec("sleep", "60")
    identity = identify(innocent.pid)
    assert identity is not None
    bench = Bench(tmp_path)
    left_state(bench, innocent.pid, identity.start_time - 1)
    async with bench:
        assert (await bench.ready()).generation == 2
    assert innocent.returncode is None
    innocent.kill()
    await innocent.wait()


async def test_a_process_that_cannot_be_taken_over_is_ended_with_proof(tmp_path: Path) -> None:
    orphan = await asyncio.create_subprocess_exec("sleep", "60", start_new_session=True)
    identity = identify(orphan.pid)
    assert identity is not None
    bench = Bench(tmp_path)
    left_state(bench, orphan.pid, identity.start_time)
    async with bench:
        assert (await bench.ready()).generation == 2
    assert await orphan.wait() == -signal.SIGKILL


# F21
@pytest.mark.parametrize("torn", [b"", b"{", b'{"pid": 1}', b"\xff\x00"])
async def test_a_torn_state_file_harms_nothing(tmp_path: Path, torn: bytes) -> None:
    bench = Bench(tmp_path)
    write_private(bench.folders.state_file("plain", 1), torn)
    async with bench:
        assert (await bench.ready()).state is ConnectorState.READY
        assert not bench.folders.state_file("plain", 1).exists()


# F9
async def test_what_a_connector_started_ends_with_it(tmp_path: Path) -> None:
    async with Bench(tmp_path, [plain("orphan")]) as bench:
        first = await bench.ready()
        orphan = int((bench.folders.work_dir("plain") / "orphan").read_text())
        assert os.getpgid(orphan) != first.pid
        send(first.pid, signal.SIGKILL)
        await bench.until(ConnectorState.BACKOFF)
        await until_true(lambda: not psutil.pid_exists(orphan) or is_zombie(orphan))


def is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


# F10
async def test_no_zombies_are_left(tmp_path: Path) -> None:
    async with Bench(tmp_path, [plain("exit-1")]) as bench:
        await bench.until_deaths(3)
        children = psutil.Process().children()
        assert [child.pid for child in children if is_zombie(child.pid)] == []


# F17
async def test_a_state_that_nobody_knows_yet_is_no_failure(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        (seen,) = (await bench.platform().look(["strange"])).values()
    assert isinstance(seen, Observation)
    assert seen.state is None


# F18
async def test_64_streams_leave_room_for_calls(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        platform = bench.platform()
        await platform.verify()

        async def last_line() -> str:
            batches = [batch async for batch in platform.logs("crowd", cursor="", after_line=0)]
            return next(batch.lines[-1].text for batch in reversed(batches) if batch.lines)

        streams = [asyncio.create_task(last_line()) for _ in range(63)]
        await platform.verify()
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert set(await asyncio.gather(*streams, last_line())) == {"line 10"}


def all_bytes(paths: Iterable[Path]) -> bytes:
    return b"".join(path.read_bytes() for path in paths if path.is_file())


# F19
async def test_a_secret_is_in_nothing_that_the_gateway_keeps_or_shows(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await bench.platform(key=CANARY).verify()
        first = bench.connectors.status("plain")
        started_with = all_bytes([Path(f"/proc/{first.pid}/{name}") for name in ("cmdline", "environ")])
        send(first.pid, signal.SIGKILL)
        await bench.until(ConnectorState.BACKOFF)
        shown = repr((bench.heard, bench.connectors.deaths("plain"), bench.connectors.list()))
    assert "credentials" in shown
    assert CANARY not in shown
    assert CANARY.encode() not in all_bytes(tmp_path.rglob("*")) + started_with  # noqa: ASYNC240


# F20
async def test_a_process_that_its_author_started_is_neither_watched_nor_ended(tmp_path: Path) -> None:
    spec = replace(plain(), settings=Settings(attach=True))
    async with Bench(tmp_path, [spec], limits=PROBED_OFTEN) as bench:
        assert bench.connectors.status("plain").state is ConnectorState.ATTACHED
        bootstrap = bench.folders.bootstrap_file("plain")
        await until_true(bootstrap.exists)
        process = await asyncio.create_subprocess_exec(
            *("sh", "-c", 'exec "$@" 3>/dev/null', "sh", *spec.command),
            stdin=asyncio.subprocess.PIPE,
            cwd=bench.folders.work_dir("plain"),
        )
        assert process.stdin is not None
        process.stdin.write(bootstrap.read_bytes())
        client = await bench.connectors.client("plain", timedelta(seconds=PATIENCE_SECONDS))
        send(process.pid, signal.SIGSTOP)
        with pytest.raises(Exception, match="in time"):
            await client.describe(timedelta(seconds=1))
        assert bench.connectors.status("plain").state is ConnectorState.ATTACHED
        send(process.pid, signal.SIGCONT)
        assert (await client.describe(timedelta(seconds=PATIENCE_SECONDS))).name == "plain"
    assert process.returncode is None
    process.kill()
    await process.wait()


# F22
async def test_a_connector_of_another_contract_is_told_of(tmp_path: Path) -> None:
    async with Bench(tmp_path, [plain("old-contract")]) as bench:
        await bench.ready()
        assert any("another revision of the contract" in line for line in bench.heard)


# F2
async def test_a_flood_of_lines_is_counted_and_its_end_is_kept(tmp_path: Path) -> None:
    async with Bench(tmp_path, [plain("chatter-9000")]) as bench:
        await bench.ready()
        assert bench.connectors.last_lines("plain")[-1] == "chatter 8999"
    assert sum(line.startswith("chatter") for line in bench.heard) < 9000
    assert any("lines were dropped" in line for line in bench.heard)


async def test_deaths_survive_the_gateway(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        send((await bench.ready()).pid, signal.SIGKILL)
        await bench.until(ConnectorState.BACKOFF)
        before = bench.connectors.deaths("plain")
    async with Bench(tmp_path) as bench:
        assert bench.connectors.deaths("plain") == before


async def test_only_the_last_twenty_flights_are_kept(tmp_path: Path) -> None:
    quick = replace(QUICK, restart=replace(QUICK.restart, cap=SOON, breaker_deaths=99, starts_per_window=99))
    async with Bench(tmp_path, [plain("exit-1")], quick) as bench:
        await bench.until_deaths(21)
        assert len(list((tmp_path / "flight" / "plain").iterdir())) == 20
        assert len(bench.connectors.deaths("plain")) == 20


async def test_a_native_crash_is_named(tmp_path: Path) -> None:
    async with Bench(tmp_path, [plain("segv")]) as bench:
        send((await bench.ready()).pid, signal.SIGUSR2)
        await bench.until(ConnectorState.BACKOFF)
        (death,) = bench.connectors.deaths("plain")
    assert (death.exit_class, death.signal) == (ExitClass.SIGNAL, "SIGSEGV")
    assert "core dump" in death.decision


async def test_a_process_that_was_killed_with_its_memory_full_is_told_to_have_starved(tmp_path: Path) -> None:
    spec = replace(plain(), overrides=Overrides(memory_hard_bytes=16 * 2**20))
    async with Bench(tmp_path, [spec]) as bench:
        send((await bench.ready()).pid, signal.SIGKILL)
        await bench.until(ConnectorState.BACKOFF)
        (death,) = bench.connectors.deaths("plain")
    assert death.exit_class is ExitClass.OOM
    assert "of its limit of 16 MiB" in json.loads(death.record)["out_of_memory"]
    assert "more memory" in death.decision


async def test_an_idle_connector_is_ended_and_wakes_with_the_next_call(tmp_path: Path) -> None:
    limits = replace(QUICK, probe_interval=SOON, idle_stop=timedelta(milliseconds=300))
    async with Bench(tmp_path, limits=limits) as bench:
        platform = bench.platform()
        await platform.verify()
        idle = await bench.until(ConnectorState.IDLE)
        assert (idle.pid, bench.connectors.deaths("plain")) == (0, ())
        begun = time.monotonic()
        await platform.verify()
        print(f"woken in {time.monotonic() - begun:.3f} s")
        assert bench.connectors.status("plain").generation == 2


async def test_a_connector_with_open_jobs_is_not_idle(tmp_path: Path) -> None:
    limits = replace(QUICK, probe_interval=SOON, idle_stop=timedelta(milliseconds=300))
    bench = Bench(tmp_path, limits=limits)
    bench.has_jobs = True
    async with bench:
        await bench.ready()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await bench.until(ConnectorState.DRAINING, ConnectorState.IDLE)


async def test_trouble_at_the_platform_degrades_and_restarts_nothing(tmp_path: Path) -> None:
    async with Bench(tmp_path, limits=replace(QUICK, probe_interval=SOON)) as bench:
        platform = bench.platform()
        await platform.look(["down"])
        status = await bench.until(ConnectorState.DEGRADED)
        assert status.message.startswith("platform: PLATFORM_UNAVAILABLE: the platform is down")
        with pytest.raises(RemoteError):
            await bench.platform("c2", key="wrong").verify()
        status = bench.connectors.status("plain")
        assert "credentials: CREDENTIALS_REJECTED" in status.message
        await platform.verify()
        assert "platform" not in bench.connectors.status("plain").message
        assert (status.generation, bench.connectors.deaths("plain")) == (1, ())


async def test_a_connector_that_says_it_is_under_way_gets_more_time(tmp_path: Path) -> None:
    limits = replace(QUICK, start=timedelta(milliseconds=700), start_extend=timedelta(milliseconds=500))
    async with Bench(tmp_path, [plain("slow")], limits) as bench:
        waiting = asyncio.create_task(bench.ready())
        await until_true(lambda: "not ready yet" in bench.connectors.status("plain").message)
        begun = time.monotonic()
        await until_true(lambda: time.monotonic() - begun > 1.5)
        (bench.folders.work_dir("plain") / "go").touch()
        assert (await waiting).generation == 1


def source_of_plain() -> str:
    return PLAIN.read_text()


async def test_changed_files_are_not_started_in_strict_mode(tmp_path: Path) -> None:
    program = tmp_path / "mine" / "program.py"
    program.parent.mkdir()
    program.write_text(source_of_plain())
    spec = ConnectorSpec(
        id="plain",
        origin=str(program.parent),
        command=(plain().command[0], str(program)),
        settings=Settings(integrity=Integrity.STRICT),
    )
    async with Bench(tmp_path, [spec]) as bench:
        assert (await bench.ready()).digest.startswith("sha256:")
        program.write_text(program.read_text() + "# changed\n")
        with pytest.raises(ConnectorDown, match=r"QUARANTINED: its files, .* changed"):
            await bench.connectors.restart("plain")
        assert bench.connectors.deaths("plain")[0].exit_class is ExitClass.DIGEST_MISMATCH
        bench.folders.pin_file("plain").unlink()
        assert (await bench.connectors.restart("plain")).state is ConnectorState.READY


async def test_too_much_memory_is_a_reason_for_another_process(tmp_path: Path) -> None:
    spec = replace(plain(), overrides=Overrides(memory_soft_bytes=1, memory_warn_bytes=1))
    async with Bench(tmp_path, [spec], replace(QUICK, probe_interval=SOON)) as bench:
        first = await bench.ready()
        assert (await bench.until(ConnectorState.READY, newer_than=1)).generation == 2
        assert not is_alive(first.pid)
        assert bench.connectors.deaths("plain") == ()
