"""Print the table: `make bench`, or `make bench ARGS=--quick` for fewer rounds.

Exits with 1 where a ratio misses its goal by more than the noise of this run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from tests.bench import connectors, ledger, streams
from tests.bench.gateways import HARMS
from tests.bench.measure import Row


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    rows = asyncio.run(measure(5 if arguments.quick else 15))
    if arguments.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        show(rows)
    return int(any(row.falls_short for row in rows))


async def measure(rounds: int) -> list[Row]:
    """Take all measurements, one after the other."""
    return [
        await connectors.start_of_eight(rounds, connectors.IMPORT, "the imports alone"),
        await connectors.start_of_eight(rounds, connectors.LEAST, "one model and the contract"),
        await connectors.start_of_eight(rounds, connectors.IMPORT, "the imports alone", is_cold=True),
        await connectors.return_after_a_kill(rounds),
        *[await connectors.neighbour(rounds, harmful) for harmful in HARMS],
        *await ledger.many_jobs(rounds),
        *await streams.log_lines(max(3, rounds // 3)),
        *await streams.file_bytes(max(2, rounds // 5)),
    ]


def show(rows: list[Row]) -> None:
    """Print the table."""
    console = Console()
    console.print(
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    )
    table = Table("measure", "figure", "beside", "ratio", "goal", box=None)
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f} ± {row.noise:.2f}"
        goal = "" if row.goal is None else f"≤ {row.goal:g}"
        table.add_row(row.measure, row.figure, row.base, f"[red]{ratio}[/]" if row.falls_short else ratio, goal)
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
