"""What is measured, by the names under which docs/benchmarks.md has it."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType

from tests.bench import (
    calls,
    files,
    floors,
    followers,
    growth,
    ledger,
    lines,
    neighbours,
    rest,
    share,
    starts,
    status_peer,
    submits,
)
from tests.bench.machine import Machine
from tests.bench.measure import Effort, Row
from tests.bench.peers.fronts import INSTALLED, missing

Group = Callable[[Effort], Awaitable[list[Row]]]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the suite."""

    machine: Machine
    finished_at: datetime
    rows: tuple[Row, ...]
    left_out: tuple[str, ...]
    """Peers that are not installed."""
    failed: tuple[str, ...]
    """Groups that could not be measured."""
    took: dict[str, float]
    """Seconds for each group."""


def _in_rounds(group: Callable[[int], Awaitable[list[Row]]]) -> Group:
    """Give a group that has one size."""
    return lambda effort: group(effort.rounds)


async def _calls(rounds: int) -> list[Row]:
    return [*await calls.single_calls(rounds), *await status_peer.status_calls(rounds)]


async def _lines(rounds: int) -> list[Row]:
    return [*await lines.log_lines(rounds), *await share.connectors_share(rounds)]


GROUPS: dict[str, tuple[str, Group]] = {
    "P0": ("what the machine can do", _in_rounds(floors.floors)),
    "P1": ("single calls", _in_rounds(_calls)),
    "P3": ("log lines", _in_rounds(_lines)),
    "P5": ("files", files.file_bytes),
    "P7": ("followers", followers.many_followers),
    "P8": ("100,000 jobs", ledger.many_jobs),
    "P9": ("connectors' starts", starts.starts),
    "P10": ("submissions", _in_rounds(submits.submissions)),
    "P11": ("at rest", rest.at_rest),
    "P12": ("neighbours", neighbours.neighbours),
    "P13": ("growth", growth.growth),
}
"""Each with what it is about."""
MEASURED_WITH = {"P2": "P1", "P4": "P3", "P6": "P1"}


async def measure(
    wanted: Sequence[str], effort: Effort, groups: Mapping[str, tuple[str, Group]] = MappingProxyType(GROUPS)
) -> Run:
    """Take measurements, one group after the other; one that fails is told of and costs no other."""
    machine, rows, took, failed = Machine.found(), list[Row](), dict[str, float](), list[str]()
    for name in dict.fromkeys(MEASURED_WITH.get(name, name) for name in wanted):
        what, group = groups[name]
        print(f"{name}: {what} ...", end=" ", file=sys.stderr, flush=True)
        began = time.perf_counter()
        try:
            rows += [replace(row, group=row.group or name) for row in await group(effort)]
        except Exception:
            traceback.print_exc()
            failed.append(name)
        took[name] = time.perf_counter() - began
        print(f"{took[name]:.0f} s", file=sys.stderr, flush=True)
    left_out = tuple(filter(None, map(missing, INSTALLED)))
    return Run(machine, datetime.now(UTC), tuple(rows), left_out, tuple(failed), took)
