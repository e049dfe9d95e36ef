"""What is measured, by the names under which docs/benchmarks.md has it."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from tests.bench import calls, connectors, files, followers, growth, ledger, lines, rest, share, submits
from tests.bench.gateways import HARMS
from tests.bench.measure import Row

Group = Callable[[int], Awaitable[list[Row]]]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the suite."""

    machine: str
    finished_at: datetime
    rows: tuple[Row, ...]


async def _starts(rounds: int) -> list[Row]:
    return [
        await connectors.start_of_eight(rounds, connectors.IMPORT, "the imports alone"),
        await connectors.start_of_eight(rounds, connectors.LEAST, "one model and the contract"),
        await connectors.start_of_eight(rounds, connectors.IMPORT, "the imports alone", is_cold=True),
        await connectors.return_after_a_kill(rounds),
    ]


async def _neighbours(rounds: int) -> list[Row]:
    return [await connectors.neighbour(rounds, harmful) for harmful in HARMS]


async def _lines(rounds: int) -> list[Row]:
    return [*await lines.log_lines(rounds), *await share.connectors_share(rounds)]


async def _followers(rounds: int) -> list[Row]:
    return await followers.many_followers()


GROUPS: dict[str, tuple[str, Group]] = {
    "P1": ("single calls", calls.single_calls),
    "P3": ("log lines", _lines),
    "P5": ("files", files.file_bytes),
    "P7": ("ten thousand followers", _followers),
    "P8": ("100,000 jobs", ledger.many_jobs),
    "P9": ("connectors' starts", _starts),
    "P10": ("submissions", submits.submissions),
    "P11": ("at rest", rest.at_rest),
    "P12": ("neighbours", _neighbours),
    "P13": ("growth", growth.growth),
}
"""Each with what it is about; P2 and P6 are measured with P1, P4 with P3."""


async def measure(wanted: Sequence[str], rounds: int) -> Run:
    """Take measurements, one group after the other."""
    rows: list[Row] = []
    for name in wanted:
        what, group = GROUPS[name]
        print(f"{name}: {what} ...", file=sys.stderr, flush=True)
        rows += [replace(row, group=row.group or name) for row in await group(rounds)]
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return Run(machine, datetime.now(UTC), tuple(rows))
