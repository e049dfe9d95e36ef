"""Connectors: how long they take to start and to come back, and what one does to another."""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import grpc.aio
import psutil

from peftstudio.gateway.v1 import connections_service_pb2 as connections
from peftstudio.gateway.v1 import connectors_service_pb2 as connectors
from tests.bench.gateways import connect, laboratories
from tests.bench.measure import Row, in_turns, percentile, seconds
from tests.support.gateway_process import Stubs

EIGHT = [f"lab{number}" for number in range(1, 9)]
CALLS = 300
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


async def start_of_eight(rounds: int, program: str, what: str, *, is_cold: bool = False) -> Row:
    """Start eight connectors at once, beside eight bare interpreters that run a program.

    A cold start is one without a template to fork them from, which has to start first.
    """
    async with laboratories(EIGHT) as (gateway, stubs):

        async def ours() -> float:
            for name in EIGHT:
                await stop(stubs, name)
            if is_cold:
                await asyncio.to_thread(_end_templates, gateway.pid)
            return await seconds(asyncio.gather(*(restart(stubs, name) for name in EIGHT)))

        async def bare() -> float:
            return await seconds(asyncio.gather(*(_run(program) for _ in EIGHT)))

        pairs = await in_turns(ours, bare, rounds)
    return Row(
        "eight connectors start at once" + (", and the template" if is_cold else ""),
        f"{statistics.median(pairs.ours):.2f} s",
        f"{statistics.median(pairs.base):.2f} s (eight interpreters with {what})",
        pairs.ratio,
        1.5,
        pairs.noise,
    )


async def return_after_a_kill(rounds: int) -> Row:
    """Kill a connector, and wait until it serves again; a third of a second of it is the pause before a restart."""
    async with laboratories([]) as (_, stubs):
        await connect(stubs, "lab")
        taken = []
        for _ in range(rounds):
            victim = await _get(stubs, "lab")
            os.kill(victim.pid, signal.SIGKILL)
            taken.append(await seconds(_newer(stubs, "lab", victim.generation)))
            # A later death counts as another one only after a while; a restart forgets them.
            await restart(stubs, "lab")
    return Row("a killed connector serves again", f"{statistics.median(taken):.2f} s")


async def neighbour(rounds: int, harmful: str) -> Row:
    """Call one connector, alone and beside one that does harm all the time."""
    async with laboratories([]) as (_, stubs):
        await connect(stubs, "lab")
        await connect(stubs, harmful)

        async def alone() -> float:
            return await _p99(stubs)

        async def beside() -> float:
            async with _at_work(stubs, harmful):
                return await _p99(stubs)

        pairs = await in_turns(beside, alone, rounds)
    return Row(
        f"p99 of a call beside a {harmful} connector",
        f"{statistics.median(pairs.ours) * 1000:.1f} ms",
        f"{statistics.median(pairs.base) * 1000:.1f} ms (alone)",
        pairs.ratio,
        2.0,
        pairs.noise,
    )


async def _p99(stubs: Stubs) -> float:
    request = connections.VerifyConnectionRequest(connection_id="lab")
    return percentile(
        [await seconds(stubs.connections.VerifyConnection(request, timeout=30)) for _ in range(CALLS)], 99
    )


@asynccontextmanager
async def _at_work(stubs: Stubs, harmful: str) -> AsyncIterator[None]:
    async def keep() -> None:
        request = connections.VerifyConnectionRequest(connection_id=harmful)
        while True:
            with suppress(grpc.aio.AioRpcError):
                await stubs.connections.VerifyConnection(request, timeout=30)

    keeping = asyncio.create_task(keep())
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def restart(stubs: Stubs, name: str) -> None:
    """Start a connector anew."""
    await stubs.connectors.RestartConnector(connectors.RestartConnectorRequest(connector_id=name), timeout=60)


def _end_templates(gateway_pid: int) -> None:
    found = [one for one in psutil.Process(gateway_pid).children() if one.cmdline()[1:] == TEMPLATE]
    for one in found:
        one.kill()
    psutil.wait_procs(found)


async def stop(stubs: Stubs, name: str) -> None:
    """End a connector, which stays usable."""
    await stubs.connectors.DisableConnector(connectors.DisableConnectorRequest(connector_id=name), timeout=60)
    await stubs.connectors.EnableConnector(connectors.EnableConnectorRequest(connector_id=name), timeout=60)


async def _get(stubs: Stubs, name: str) -> connectors.Connector:
    request = connectors.GetConnectorRequest(connector_id=name)
    return (await stubs.connectors.GetConnector(request, timeout=60)).connector


async def _newer(stubs: Stubs, name: str, generation: int) -> None:
    deadline = time.monotonic() + 60
    async for message in stubs.connectors.WatchConnectors(connectors.WatchConnectorsRequest(connector_id=name)):
        seen = message.connector
        if seen.generation > generation and seen.state == connectors.CONNECTOR_STATE_READY:
            return
        assert time.monotonic() < deadline


async def _run(program: str) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    await process.wait()
