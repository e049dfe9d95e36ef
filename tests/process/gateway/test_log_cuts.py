"""A thousand cuts of log streams of all kinds: every follower ends with exactly the lines written, in order."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import psutil
import pytest

from gateway.client.log_cursor import LogCursor, LogStart
from peftstudio.gateway.v1 import connections_service_pb2, connectors_service_pb2
from peftstudio.job.v1.log_pb2 import LOG_STREAM_SYSTEM, LogFilter, LogLine
from tests.process.gateway.conftest import wish
from tests.support.cut_logs import RANKS, number_of, rank_of, text_of
from tests.support.gateway_process import GatewayProcess, Stubs, gateway_process
from tests.support.signals import send

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

SEED = int(os.environ.get("PEFTSTUDIO_TEST_SEED", "20261126"))
CUTS = 1000
LINES = 700
PACE = 35
CUT_LINES = 8
JOBS = 2
"""Of each kind."""
CONNECTOR_KILLS = 16
GATEWAY_KILLS = 3
FIRST_KILL_SECONDS, KILL_SECONDS = 2.0, 1.0
KINDS = {"cursor": "CursorLab", "replay": "ReplayLab", "tail": "TailLab", "offset": ""}
LAB = "from tests.support.cut_logs import {base}\n\n\nclass Connector({base}):\n    name = '{kind}'\n"
OFFSET = "from tests.support.cut_logs import serve_offset\n\nserve_offset()\n"
MANIFEST = """
id = "{kind}"
command = {command}

[limits] # else the breaker would end the test after five deaths
backoff_first = 0.05
backoff_cap = 0.1
stable_window = 1
breaker_deaths = 100
breaker_starts = 1000
breaker_window = 10
"""


@dataclass
class World:
    """The gateway that runs at the time, and what was cut so far."""

    gateway: GatewayProcess
    stubs: Stubs
    cuts: Counter[str] = field(default_factory=Counter)
    channel: AsyncExitStack = field(default_factory=AsyncExitStack)
    is_up: asyncio.Event = field(default_factory=asyncio.Event)
    is_enough: asyncio.Event = field(default_factory=asyncio.Event)

    async def kill_gateway(self) -> None:
        self.is_up.clear()
        await self.gateway.kill()
        await self.channel.aclose()
        await self.gateway.start()
        self.stubs = await self.channel.enter_async_context(self.gateway.connected())
        self.is_up.set()
        self.cuts["gateway killed"] += 1

    def count_upstream(self) -> None:
        """Count the streams that connectors cut, by their notes."""
        notes = (self.gateway.data_dir / "instances").glob("*/jobs/*/notes")
        self.cuts["stream cut"] = sum(path.read_text().count("log cut") for path in notes)


@dataclass
class Follower:
    """A client that cuts its own stream, and goes on from its cursor."""

    kind: str
    job_id: str
    start: LogStart
    wanted: LogFilter
    chance: random.Random
    found: list[list[LogLine]] = field(default_factory=list)
    """What was found from the start to the end, each time."""

    async def follow(self, world: World) -> None:
        while not (self.found and world.is_enough.is_set()):
            self.found.append([])
            cursor = LogCursor(self.job_id, self.start, follow=True, line_filter=self.wanted)
            while not await self._read(cursor, world):
                world.cuts["client cut"] += 1

    async def _read(self, cursor: LogCursor, world: World) -> bool:
        """Read for a while, and tell whether that was to the end."""
        await world.is_up.wait()
        # Those that read on at the end still see that they need not be cut for the log to be whole.
        messages = None if world.is_enough.is_set() else self.chance.randint(0, 4)
        seconds = None if world.is_enough.is_set() else self.chance.uniform(0.05, 1.5)
        with suppress(TimeoutError, grpc.aio.AioRpcError, asyncio.CancelledError):
            async with asyncio.timeout(seconds):
                call = world.stubs.jobs.StreamLogs(cursor.request(), timeout=100)
                try:
                    async for message in call:
                        self.found[-1] += cursor.accept(message)
                        if message.HasField("end"):
                            assert message.end.complete
                            return True
                        if messages is not None and (messages := messages - 1) < 0:
                            return False
                finally:
                    call.cancel()
        return False


@asynccontextmanager
async def world_of(tmp_path: Path) -> AsyncIterator[World]:
    for kind, base in KINDS.items():
        folder = tmp_path / "plugins" / kind
        folder.mkdir(parents=True)
        (folder / "main.py").write_text(LAB.format(base=base, kind=kind) if base else OFFSET)
        command = ["{python}", *(["-m", "connector_sdk", "serve"] if base else []), "{dir}/main.py"]
        (folder / "connector.toml").write_text(MANIFEST.format(kind=kind, command=json.dumps(command)))
    async with AsyncExitStack() as stack:
        arguments = ("--plugins", str(tmp_path / "plugins"), "--job-log-mib", "4")
        gateway = await stack.enter_async_context(gateway_process(tmp_path / "data", *arguments))
        channel = await stack.enter_async_context(AsyncExitStack())
        world = World(gateway, await channel.enter_async_context(gateway.connected()), channel=channel)
        world.is_up.set()
        for kind in KINDS:
            request = connections_service_pb2.ConnectRequest(connector_id=kind, credentials={"api_key": "canary-77a1"})
            await world.stubs.connections.Connect(request, timeout=60)
        yield world


async def submitted(world: World, kind: str) -> str:
    request = wish(options={"lines": LINES, "pace": PACE, "cut_lines": CUT_LINES})
    request.connection_id = kind
    return (await world.stubs.jobs.SubmitJob(request, timeout=60)).job.id


def followers_of(kind: str, job_id: str, chance: random.Random) -> list[Follower]:
    """Make those of one job: of all, of some by text or by rank, of the last lines, and of what comes."""
    by = LogFilter(ranks=[1]) if kind in ("cursor", "offset") else LogFilter(contains="7 loss")
    ways = [
        (LogStart(), LogFilter()),
        (LogStart(), LogFilter(regex=r"^step \d*[05] ")),
        (LogStart(after_seq=0), by),
        (LogStart(tail=20), LogFilter()),
    ]
    return [Follower(kind, job_id, start, wanted, random.Random(chance.random())) for start, wanted in ways]


async def kill_connectors(world: World, chance: random.Random) -> None:
    await asyncio.sleep(FIRST_KILL_SECONDS)
    while world.cuts["connector killed"] < CONNECTOR_KILLS:
        await asyncio.sleep(chance.uniform(0.2, KILL_SECONDS))
        await world.is_up.wait()
        request = connectors_service_pb2.GetConnectorRequest(connector_id=chance.choice(list(KINDS)))
        with suppress(grpc.aio.AioRpcError, asyncio.CancelledError, psutil.NoSuchProcess, ProcessLookupError):
            seen = (await world.stubs.connectors.GetConnector(request, timeout=10)).connector
            if seen.pid and psutil.Process(seen.pid).ppid() == world.gateway.pid:
                send(seen.pid, signal.SIGKILL)
                world.cuts["connector killed"] += 1


async def kill_gateways(world: World, chance: random.Random) -> None:
    for _ in range(GATEWAY_KILLS):
        await asyncio.sleep(chance.uniform(3, 5))
        await world.kill_gateway()


async def watch_count(world: World) -> None:
    while not world.is_enough.is_set():
        world.count_upstream()
        if world.cuts.total() >= CUTS and world.cuts["gateway killed"] == GATEWAY_KILLS:
            world.is_enough.set()
        await asyncio.sleep(0.2)


async def test_a_thousand_cuts_leave_every_follower_with_exactly_the_lines_written(tmp_path: Path) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    async with world_of(tmp_path) as world:
        jobs = [(kind, await submitted(world, kind)) for kind in KINDS for _ in range(JOBS)]
        followers = [one for kind, job_id in jobs for one in followers_of(kind, job_id, chance)]
        async with asyncio.timeout(200), asyncio.TaskGroup() as tasks:
            tasks.create_task(kill_connectors(world, random.Random(chance.random())))
            tasks.create_task(kill_gateways(world, random.Random(chance.random())))
            tasks.create_task(watch_count(world))
            for follower in followers:
                tasks.create_task(follower.follow(world))
        world.count_upstream()
        print(dict(world.cuts))
        assert world.cuts.total() >= CUTS
        for follower in followers:
            whole = next(one.found[0] for one in followers if one.job_id == follower.job_id)
            for found in follower.found:
                check(follower, found, whole)


def check(follower: Follower, lines: list[LogLine], whole: list[LogLine]) -> None:
    """Compare what a follower found with what was written, and of a log with gaps with what one of all lines found."""
    found = [(line.seq, line.text) for line in lines]
    log = [(line.seq, line.text) for line in whole]
    if follower.kind == "tail":
        check_gaps(whole)
    else:
        assert log == [(number, text_of(number)) for number in range(1, LINES + 1)]
    if follower.start.tail is not None:
        assert len(found) >= follower.start.tail
        # It starts behind some line, before which there may be a gap.
        assert found == log[-len(found) :]
    elif follower.wanted.regex:
        assert found == [(seq, text) for seq, text in log if is_gap(text) or number_of(text) % 5 == 0]
    elif follower.wanted.ranks:
        assert found == [(seq, text) for seq, text in log if rank_of(number_of(text)) == 1 % RANKS]
    elif follower.wanted.contains:
        assert found == [(seq, text) for seq, text in log if is_gap(text) or number_of(text) % 10 == 7]
    else:
        assert found == log


def is_gap(text: str) -> bool:
    return text.startswith("lines are missing here: ")


def check_gaps(whole: list[LogLine]) -> None:
    """Where numbers jump, and only where a stream was opened again, there is a gap."""
    lines = [line for line in whole if line.stream != LOG_STREAM_SYSTEM]
    assert [line.seq for line in lines] == list(range(1, len(lines) + 1))
    before, is_told = 0, False
    for line in whole:
        if line.stream == LOG_STREAM_SYSTEM:
            assert is_gap(line.text)
            assert not is_told
            is_told = True
        else:
            number = number_of(line.text)
            assert number > before
            assert is_told or number == before + 1
            before, is_told = number, False
    assert is_told or before == LINES
