"""Connectors' starts: of one and of eight, behind a crash and out of sleep, beside bare interpreters."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from functools import partial

from gateway.plugins.backoff import RestartPolicy
from peftstudio.gateway.v1 import connectors_service_pb2 as pb
from tests.bench.connectors import IMPORT, LEAST, Death, end_templates, interpreter, kill, restart, stop, until
from tests.bench.gateways import connect, laboratories, verify
from tests.bench.measure import Effort, Row, Timed, in_turns, in_turns_of, seconds, worded
from tests.support.gateway_process import GatewayProcess, Stubs

EIGHT = [f"lab{number}" for number in range(1, 9)]
GOAL = 1.5
OURS = "ours"
SEEN_MS = 50.0


@dataclass(frozen=True, slots=True)
class Bench:
    """What all of it is measured at."""

    gateway: GatewayProcess
    stubs: Stubs
    rounds: int


async def starts(effort: Effort) -> list[Row]:
    """Start connectors in every way in which they come to start."""
    # One more, since a round that does not count wakes one, too.
    sleepers = [f"sleeper{number}" for number in range(effort.rounds + 1)]
    async with laboratories(EIGHT, sleepers) as (gateway, stubs):
        bench = Bench(gateway, stubs, effort.rounds)
        for name in ["lab", *sleepers]:
            await connect(stubs, name)
        return [
            *await _start_of(bench, EIGHT[:1], {"the imports alone": IMPORT}),
            *await _start_of(bench, EIGHT, {"the imports alone": IMPORT, "one model and the contract": LEAST}),
            *await _start_of(bench, EIGHT, {"the imports alone": IMPORT}, is_cold=True),
            *await _deaths(bench),
            await _wakes(bench, sleepers),
        ]


async def _start_of(bench: Bench, names: list[str], programs: dict[str, str], *, is_cold: bool = False) -> list[Row]:
    """Start connectors at once, beside as many interpreters; a cold start has no template yet to fork from."""

    async def ours() -> float:
        await asyncio.gather(*(stop(bench.stubs, name) for name in names))
        if is_cold:
            await asyncio.to_thread(end_templates, bench.gateway.pid)
        return await seconds(asyncio.gather(*(restart(bench.stubs, name) for name in names)))

    ways: dict[str, Timed] = {OURS: ours}
    ways |= {what: partial(_interpreters, code, len(names)) for what, code in programs.items()}
    found = await in_turns_of(ways, bench.rounds)
    who = "a connector starts" if len(names) == 1 else f"{len(names)} connectors start at once"
    measure = who + (", and the template" if is_cold else "")
    return [
        Row.beside(measure, found[OURS], found[what], f"{_count(len(names))} with {what}", GOAL) for what in programs
    ]


async def _deaths(bench: Bench) -> list[Row]:
    """Kill a connector, and wait until it serves again."""

    async def ours() -> Death:
        death = await kill(bench.stubs, "lab")
        # A later death counts as another one only after a while; a restart forgets them.
        await restart(bench.stubs, "lab")
        return death

    async def bare() -> Death:
        return Death(0, await _interpreters(IMPORT, 1))

    async def floor() -> Death:
        began = time.perf_counter()
        await asyncio.sleep(RestartPolicy().first.total_seconds())
        await interpreter(IMPORT)
        return Death(0, time.perf_counter() - began)

    found = await in_turns_of({OURS: ours, "bare": bare, "floor": floor}, bench.rounds)
    seen = [death.seen for death in found[OURS]]
    served, base, least = ([death.served for death in found[way]] for way in (OURS, "bare", "floor"))
    row = Row.alone("a killed connector is seen to be dead", seen, "ms", most=SEEN_MS)
    again = Row.beside("a killed connector serves again", served, base, f"{_count(1)} with the imports alone", GOAL)
    return [
        replace(row, base=f"at worst {worded(max(seen), 'ms')}"),
        again.limited(
            least, "the pause before a restart, and the interpreter", 1.0, "what dies at once must not storm"
        ),
    ]


async def _wakes(bench: Bench, sleepers: list[str]) -> Row:
    """Call connectors that stopped since nothing needed them."""
    left = list(sleepers)
    for name in left:
        await until(bench.stubs, name, lambda seen: seen.state == pb.CONNECTOR_STATE_IDLE)

    async def wake() -> float:
        return await seconds(verify(bench.stubs, left.pop()))

    pairs = await in_turns(wake, partial(_interpreters, IMPORT, 1), bench.rounds)
    what = f"{_count(1)} with the imports alone"
    return Row.beside("a call wakes a connector that sleeps", pairs.ours, pairs.base, what, GOAL)


async def _interpreters(program: str, count: int) -> float:
    return await seconds(asyncio.gather(*(interpreter(program) for _ in range(count))))


def _count(interpreters: int) -> str:
    return "an interpreter" if interpreters == 1 else f"{interpreters} interpreters"
