"""Connectors that are forked from a template: that they are like any others, and what becomes of them without it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from structlog.testing import capture_logs

from gateway.plugins.model import ConnectorState, Death, ExitClass
from gateway.plugins.spec import ConnectorSpec
from tests.support.launched import PATIENCE_SECONDS, QUICK, Bench, is_alive
from tests.support.served import lab_with, served, templates
from tests.support.signals import send

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(sys.platform != "linux", reason="connectors are forked on Linux alone"),
]

LONG = timedelta(seconds=60)
ONCE = replace(QUICK, last_words=LONG, restart=replace(QUICK.restart, first=LONG))
"""Limits with which a connector that dies is neither hurried nor started again while a test looks."""
PORTRAIT = """
import json, os, random, resource, signal, sys, threading

def target(descriptor):
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}").partition(":")[0]
    except OSError:
        return "gone"

with open("portrait.json", "w") as file:
    json.dump({
        "arguments": (sys.argv, sys.orig_argv),
        "environment": dict(os.environ),
        "path": sys.path,
        "folder": os.getcwd(),
        "flags": repr(sys.flags),
        "leads": (os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid()),
        "signals": {number.name: str(signal.getsignal(number)).partition(" at ")[0] for number in signal.Signals},
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "descriptors": {name: target(name) for name in sorted(os.listdir("/proc/self/fd"), key=int)},
        "inheritable": [os.get_inheritable(number) for number in range(4)],
        "umask": os.umask(0o77) | os.umask(0o22),
        "limits": resource.getrlimit(resource.RLIMIT_AS),
        "threads": [one.name for one in threading.enumerate()],
        "streams": [(one.encoding, one.errors, one.line_buffering) for one in (sys.stdin, sys.stdout, sys.stderr)],
        "main": __import__("__main__").__file__,
    }, file)
with open("luck", "w") as file:
    file.write(str(random.random()))
"""
ENDS = {
    "done": "import sys; sys.exit(0)",
    "temporary": "raise SystemExit(75)",
    "configuration": "import sys; print('half a line', end=''); sys.exit(78)",
    "words": "import sys; sys.exit('no engine here')",
    "at-once": "import os; os._exit(3)",
    "broken": "import nothing_of_this_name",
    "traceback": "class Odd(BaseException): ...\nraise Odd('unheard of')",
    "interrupted": "raise KeyboardInterrupt",
    "at-exit": "import atexit, sys; atexit.register(print, 'said at exit'); sys.exit(4)",
    "segv": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
    "abort": "import os; os.abort()",
    "kill": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
}
GATEWAY = """
import asyncio, sys
from pathlib import Path
from tests.process.plugins.test_templates import SPECS
from tests.support.launched import Bench
from tests.support.served import templates

async def main() -> None:
    async with Bench(Path(sys.argv[1]), SPECS) as bench:
        pids = [(await bench.connectors.client(spec.id)) and bench.connectors.status(spec.id).pid for spec in SPECS]
        print(*pids, *(one.pid for one in templates()), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""
FIRST_PROCESS = """
import asyncio, ctypes, os, signal, sys
from pathlib import Path
import psutil
from gateway.plugins.model import ConnectorState
from tests.support.launched import Bench
from tests.support.served import served, templates

async def main() -> None:
    # Orphans are left to this process, as to the first one of a container.
    assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0
    async with Bench(Path(sys.argv[1]), [served()]) as bench:
        pid = (await bench.ready()).pid
        templates()[0].kill()
        while psutil.Process(pid).ppid() != os.getpid():
            await asyncio.sleep(0.02)
        os.kill(pid, signal.SIGKILL)
        await bench.until(ConnectorState.READY, newer_than=1)
        zombies = [one.pid for one in psutil.Process().children() if one.status() == psutil.STATUS_ZOMBIE]
        print(bench.connectors.deaths("plain")[0].signal, zombies)

asyncio.run(main())
"""
SPECS = [served(connector_id="one"), served(connector_id="two")]


@pytest.fixture
def runtime_dir(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="p") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield folder


async def first_deaths(bench: Bench) -> dict[str, Death]:
    """Start every connector, and return how each died first."""
    waiting = [asyncio.create_task(bench.connectors.client(spec.id)) for spec in bench.specs]
    await until(lambda: all(bench.connectors.deaths(spec.id) for spec in bench.specs))
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    return {spec.id: bench.connectors.deaths(spec.id)[-1] for spec in bench.specs}


def summary(death: Death) -> tuple[ExitClass, int | None, str, str, tuple[str, ...]]:
    # Times are in front of what is logged, and stacks have addresses.
    lines = tuple(line for line in death.last_lines if not line[:1].isdigit() and "0x" not in line)
    return death.exit_class, death.exit_code, death.signal, death.why, lines


async def test_every_end_is_told_as_that_of_a_program(tmp_path: Path) -> None:
    specs = [served(lab_with(tmp_path / name, words), name) for name, words in ENDS.items()]
    async with Bench(tmp_path / "fork", specs, ONCE) as bench:
        forked = await first_deaths(bench)
        assert len(templates()) == 1
    async with Bench(tmp_path / "exec", specs, ONCE, forks=False) as bench:
        started = await first_deaths(bench)
        assert templates() == []
    assert {name: summary(death) for name, death in forked.items()} == {
        name: summary(death) for name, death in started.items()
    }
    assert (forked["traceback"].exit_class, forked["traceback"].exit_code) == (ExitClass.ERROR, 1)
    assert forked["at-once"].exit_code == 3
    assert (forked["kill"].signal, forked["segv"].signal) == ("SIGKILL", "SIGSEGV")


async def portrait(data_dir: Path, spec: ConnectorSpec, *, forks: bool) -> tuple[dict[str, object], bytes]:
    environment = {**os.environ, "CANARY_SECRET": "canary-3f", "ACME_REGION": "eu", "LC_TIME": "C"}
    async with Bench(data_dir, [spec], environment=environment, forks=forks) as bench:
        status = await bench.ready()
        assert (psutil.Process(status.pid).ppid() == os.getpid()) is not forks
        folder = bench.folders.work_dir("plain")
        known = json.loads((folder / "portrait.json").read_text().replace(str(data_dir), "DATA"))
        return known, Path(f"/proc/{status.pid}/environ").read_bytes()  # noqa: ASYNC240 - no disk


async def test_a_forked_connector_cannot_tell_itself_from_a_program(tmp_path: Path) -> None:
    spec = served(lab_with(tmp_path / "mine", PORTRAIT), env_allow=("ACME_REGION",))
    forked, environ = await portrait(tmp_path / "fork", spec, forks=True)
    started, _ = await portrait(tmp_path / "exec", spec, forks=False)
    assert forked == started
    assert isinstance(forked["environment"], dict)
    assert forked["environment"]["ACME_REGION"] == "eu"
    assert "CANARY_SECRET" not in forked["environment"]
    assert b"canary-3f" not in environ


async def test_connectors_of_one_template_share_neither_luck_nor_modules_nor_pipes(tmp_path: Path) -> None:
    mark = "import helper_of_mine; assert helper_of_mine.OWNER == '{0}', helper_of_mine.OWNER"
    specs = []
    for name in ("one", "two"):
        path = lab_with(tmp_path / name, f"{mark.format(name)}\n{PORTRAIT}")
        path.with_name("helper_of_mine.py").write_text(f"OWNER = '{name}'")
        specs.append(served(path, name))
    async with Bench(tmp_path / "data", specs) as bench:
        for spec in specs:
            await bench.connectors.client(spec.id)
        (template,) = templates()
        assert {one.pid for one in template.children()} == {one.pid for one in bench.connectors.list()}
        assert {one.name() for one in template.children()} == {"peft-one", "peft-two"}
        held = [pipes(one.pid) for one in (template, *template.children())]
        assert held[0] & held[1] == held[0] & held[2] == held[1] & held[2] == set()
        luck = {(bench.folders.work_dir(spec.id) / "luck").read_text() for spec in specs}
        assert len(luck) == 2


async def test_what_one_connector_is_told_is_in_no_memory_but_its_own(tmp_path: Path) -> None:
    told = f"declared-{os.getpid()}-for-one-alone"
    specs = [served(connector_id="one", env_allow=("ACME_REGION",)), served(connector_id="two")]
    async with Bench(tmp_path, specs, environment={**os.environ, "ACME_REGION": told}) as bench:
        for spec in specs:
            await bench.connectors.client(spec.id)
        (template,) = templates()
        one, two = (bench.connectors.status(spec.id).pid for spec in specs)
        assert [is_in_memory(pid, told.encode()) for pid in (one, template.pid, two)] == [True, False, False]


def is_in_memory(pid: int, words: bytes) -> bool:
    areas = [line.split() for line in Path(f"/proc/{pid}/maps").read_text().splitlines() if " rw" in line]
    with open(f"/proc/{pid}/mem", "rb") as memory:
        for area in areas:
            first, last = (int(end, 16) for end in area[0].split("-"))
            memory.seek(first)
            if words in memory.read(last - first):
                return True
    return False


def pipes(pid: int) -> set[str]:
    folder = Path(f"/proc/{pid}/fd")
    return {target for one in folder.iterdir() if (target := str(one.readlink())).startswith(("pipe:", "socket:"))}


async def test_nothing_outlives_a_gateway_that_was_killed(tmp_path: Path, runtime_dir: str) -> None:
    gateway = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", GATEWAY, str(tmp_path)), stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    assert gateway.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            pids = [int(word) for word in (await gateway.stdout.readline()).split()]
        assert len(pids) == 3
    finally:
        gateway.kill()
        await gateway.wait()
    async with asyncio.timeout(PATIENCE_SECONDS):
        # Nobody tells of the end of a process that is not one's child.
        while not all(map(is_gone, pids)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def is_gone(pid: int) -> bool:
    # Whoever inherits an orphan here may leave it a zombie.
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def test_a_killed_template_takes_no_connector_with_it_and_is_replaced(tmp_path: Path) -> None:
    async with Bench(tmp_path, [served()]) as bench:
        first = await bench.ready()
        (template,) = templates()
        template.kill()
        await until(lambda: not is_alive(template.pid))
        assert await bench.platform().verify()
        assert bench.connectors.status("plain").pid == first.pid
        send(first.pid, signal.SIGKILL)
        second = await bench.until(ConnectorState.READY, newer_than=1)
        (death,) = bench.connectors.deaths("plain")
        assert (death.exit_class, death.exit_code, death.signal) == (ExitClass.ERROR, None, "")
        (other,) = templates()
        assert psutil.Process(second.pid).ppid() == other.pid != template.pid


async def test_a_gateway_to_which_orphans_are_left_collects_them(tmp_path: Path, runtime_dir: str) -> None:
    gateway = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", FIRST_PROCESS, str(tmp_path)), stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    async with asyncio.timeout(PATIENCE_SECONDS * 2):
        output, _ = await gateway.communicate()
    assert output.decode().splitlines()[-1] == "SIGKILL []"


async def test_a_template_that_was_killed_unseen_delays_no_start(tmp_path: Path) -> None:
    async with Bench(tmp_path, [served()]) as bench:
        await bench.ready()
        await bench.connectors.disable("plain")
        (template,) = templates()
        template.kill()
        await bench.connectors.enable("plain")
        status = await bench.ready()
        assert (status.generation, bench.connectors.deaths("plain")) == (2, ())
        assert [one.pid for one in templates()] == [psutil.Process(status.pid).ppid()]


async def test_a_frozen_template_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Bench(tmp_path, [served()]) as bench:
        await bench.ready()
        await bench.connectors.disable("plain")
        (template,) = templates()
        monkeypatch.setattr("gateway.plugins.template.FORK_LIMIT", timedelta(milliseconds=300))
        template.suspend()
        await bench.connectors.enable("plain")
        status = await bench.ready()
        assert psutil.Process(status.pid).ppid() != template.pid
        assert not is_alive(template.pid)


async def test_an_end_that_a_frozen_template_does_not_tell_is_noticed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Bench(tmp_path, [served()]) as bench:
        first = await bench.ready()
        (template,) = templates()
        monkeypatch.setattr("gateway.plugins.template.REAP_LIMIT", timedelta(milliseconds=300))
        template.suspend()
        send(first.pid, signal.SIGKILL)
        assert (await bench.until(ConnectorState.READY, newer_than=1)).generation == 2
        assert not is_alive(template.pid)


async def test_a_changed_library_replaces_the_template_and_costs_no_connector_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Bench(tmp_path / "data", [served(), served(connector_id="other")]) as bench:
        first = await bench.ready()
        (old,) = templates()
        (tmp_path / "site" / "acme-1.0.dist-info").mkdir(parents=True)
        (tmp_path / "site" / "acme-1.0.dist-info" / "METADATA").write_text("Name: acme\nVersion: 1.0\n")
        monkeypatch.syspath_prepend(tmp_path / "site")
        await bench.connectors.client("other")
        assert len(templates()) == 2
        assert psutil.Process(bench.connectors.status("other").pid).ppid() != old.pid
        send(first.pid, signal.SIGTERM)
        assert (await bench.until(ConnectorState.READY, newer_than=1)).generation == 2
        (death,) = bench.connectors.deaths("plain")
        assert (death.exit_class, death.exit_code) == (ExitClass.CLEAN, 0)
        await until(lambda: old.pid not in {one.pid for one in templates()})


async def test_a_change_while_a_connector_is_forked_costs_it_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.plugins.template.FORK_LIMIT", timedelta(seconds=PATIENCE_SECONDS))
    specs = [served(connector_id=name) for name in ("first", "plain", "third")]
    with capture_logs() as logged:
        async with Bench(tmp_path / "data", specs) as bench:
            await bench.connectors.client("first")
            await bench.connectors.disable("first")
            (old,) = templates()
            old.suspend()
            waiting = asyncio.create_task(bench.connectors.client("plain"))
            await bench.until(ConnectorState.STARTING)
            monkeypatch.syspath_prepend(tmp_path)
            (tmp_path / "acme-1.0.dist-info").mkdir()
            (tmp_path / "acme-1.0.dist-info" / "METADATA").write_text("Name: acme\nVersion: 1.0\n")
            await bench.connectors.client("third")
            old.resume()
            assert (await waiting).generation == 1
    assert [line for line in logged if line["event"] == "connector not forked"] == []


async def test_what_a_connector_starts_at_its_import_is_its_own(tmp_path: Path) -> None:
    words = """
import os, threading, time
threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
if (child := os.fork()) == 0:
    os.setpgid(0, 0)
    time.sleep(3600)
open("child", "w").write(str(child))
"""
    async with Bench(tmp_path / "data", [served(lab_with(tmp_path / "mine", words))]) as bench:
        for generation in (1, 2):
            status = await bench.until(ConnectorState.READY) if generation > 1 else await bench.ready()
            child = int((bench.folders.work_dir("plain") / "child").read_text())
            (template,) = templates()
            assert template.num_threads() == 1
            send(status.pid, signal.SIGKILL)
            await bench.until(ConnectorState.READY, newer_than=generation)
            await until(lambda pid=child: is_gone(pid))


async def test_no_zombies_are_left_of_forked_connectors(tmp_path: Path) -> None:
    async with Bench(tmp_path / "data", [served(lab_with(tmp_path / "mine", ENDS["words"]))]) as bench:
        await bench.until_deaths(3)
        await bench.connectors.disable("plain")
        (template,) = templates()
        assert template.children() == []
    assert psutil.Process().children(recursive=True) == []


async def test_a_connector_with_variables_of_the_interpreter_is_started_as_a_program(tmp_path: Path) -> None:
    spec = served(env_allow=("PYTHONHASHSEED",))
    async with Bench(tmp_path, [spec], environment={**os.environ, "PYTHONHASHSEED": "7"}) as bench:
        assert psutil.Process((await bench.ready()).pid).ppid() == os.getpid()
        assert templates() == []


SPEAK = "import os, socket; control = socket.socket(fileno=0); control.send(b'{}'); control.recv(9999)"


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("raise RuntimeError('no library')", "it has ended"),
        (SPEAK.format('{"template": 2}'), "it speaks version 2, and this gateway 1"),
        (SPEAK.format("hello"), "it has ended"),
        (SPEAK.format('{"template": 1}') + """; control.send(b'{"error": "it has 2 threads"}')""", "it has 2 threads"),
        ("import time; time.sleep(3600)", "it was not ready within 0.5 s"),
    ],
)
async def test_without_a_template_that_works_connectors_are_started_as_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, why: str
) -> None:
    path = tmp_path / "template.py"
    path.write_text(program)
    monkeypatch.setattr("gateway.plugins.template.COMMAND", (sys.executable, str(path)))
    monkeypatch.setattr("gateway.plugins.template.WARM_LIMIT", timedelta(seconds=0.5 if "sleep" in program else 5))
    with capture_logs() as logged:
        async with Bench(tmp_path / "data", [served()]) as bench:
            status = await bench.ready()
            assert psutil.Process(status.pid).ppid() == os.getpid()
            assert templates() == []
            assert (await bench.connectors.restart("plain")).generation == 2
    assert [line["why"] for line in logged if line["event"] == "connector not forked"] == [f"template: {why}"]


async def until(claim: object) -> None:
    """Wait for what nobody tells of."""
    assert callable(claim)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not claim():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
