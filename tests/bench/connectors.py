"""What is done to a connector: start it, stop it, kill it, and see what becomes of it."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from peftstudio.gateway.v1 import connectors_service_pb2 as pb
from tests.support.gateway_process import Stubs
from tests.support.signals import send

TEMPLATE = ["-m", "connector_sdk", "template"]
"""How a template is started, behind the interpreter."""
IMPORT = "import grpc.aio, pydantic"
"""What every connector imports; pydantic loads most of itself only with the first model."""
LEAST = f"""{IMPORT}
from peftstudio.connector.v1 import connector_service_pb2_grpc
class Model(pydantic.BaseModel):
    name: str
"""
"""The least that a connector in Python is made of: one model, and the contract."""
SECONDS = 60.0
"""For whatever a connector is waited for."""


async def interpreter(program: str) -> None:
    """Run a program in an interpreter of its own, to its end."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    await process.wait()


async def restart(stubs: Stubs, name: str) -> None:
    """Start a connector anew, which also forgets its deaths."""
    await stubs.connectors.RestartConnector(pb.RestartConnectorRequest(connector_id=name), timeout=SECONDS)


async def stop(stubs: Stubs, name: str) -> None:
    """End a connector, which stays usable."""
    await stubs.connectors.DisableConnector(pb.DisableConnectorRequest(connector_id=name), timeout=SECONDS)
    await stubs.connectors.EnableConnector(pb.EnableConnectorRequest(connector_id=name), timeout=SECONDS)


async def until(stubs: Stubs, name: str, is_so: Callable[[pb.Connector], bool]) -> pb.Connector:
    """Wait until a connector is so, as its watchers are told."""
    watch = stubs.connectors.WatchConnectors(pb.WatchConnectorsRequest(connector_id=name), timeout=SECONDS)
    async for message in watch:
        if message.HasField("connector") and is_so(message.connector):
            watch.cancel()
            return message.connector
    raise AssertionError(f"the watch of {name} ended")


@dataclass(frozen=True, slots=True)
class Death:
    """What became of a connector that was killed, in seconds from then on."""

    seen: float
    """Until a watcher was told that it does not serve."""
    served: float
    """Until a watcher was told that it serves again."""


async def kill(stubs: Stubs, name: str) -> Death:
    """Kill a connector that serves, and wait until it serves again."""
    watch = stubs.connectors.WatchConnectors(pb.WatchConnectorsRequest(connector_id=name), timeout=SECONDS)
    victim, began, seen = pb.Connector(), 0.0, 0.0
    async for message in watch:
        now, told = time.perf_counter(), message.connector
        if not began and told.state == pb.CONNECTOR_STATE_READY:
            victim, began = told, time.perf_counter()
            send(victim.pid, signal.SIGKILL)
        elif began and not seen and told.state != pb.CONNECTOR_STATE_READY and message.HasField("connector"):
            seen = now - began
        elif seen and told.state == pb.CONNECTOR_STATE_READY and told.generation > victim.generation:
            watch.cancel()
            return Death(seen, now - began)
    raise AssertionError(f"the watch of {name} ended")


def end_templates(gateway_pid: int) -> None:
    """Kill what connectors are forked from."""
    found = [one for one in psutil.Process(gateway_pid).children() if one.cmdline()[1:] == TEMPLATE]
    for one in found:
        one.kill()
    psutil.wait_procs(found)
