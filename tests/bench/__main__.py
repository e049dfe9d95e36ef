"""Measure the gateway beside what it could be replaced by: `make bench`, `make bench ARGS='--quick --only P1,P3'`.

Prints one table. `--json FILE` keeps it, `--plots DIR` draws it, `--write` puts it into docs/benchmarks.md. Exits with
1 where a goal is missed by more than the noise of this run and no limit is proved, or could not be measured.
`--compare A.json B.json` measures nothing: it exits with 1 where two runs disagree by more than both stated.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from rich.console import Console

from tests.bench import compare, report
from tests.bench.groups import GROUPS, MEASURED_WITH, measure
from tests.bench.measure import Effort

QUICK = Effort(rounds=3, is_full=False)
FULL = Effort(rounds=12, is_full=True)
WIDE = 200
"""Columns where the output is kept in a file, so that no cell is broken."""


def main() -> int:
    """Measure and print, or compare."""
    arguments = _arguments()
    console = Console(width=None if sys.stdout.isatty() else WIDE)
    if arguments.compare:
        first, second = map(compare.load, arguments.compare)
        return compare.show(first, second, console)
    run = asyncio.run(measure(arguments.only or list(GROUPS), QUICK if arguments.quick else FULL))
    report.show(run, console)
    if arguments.json:
        arguments.json.write_text(report.as_json(run))
    if arguments.plots:
        report.draw(run, arguments.plots)
    if arguments.write:
        report.write_page(run)
    return int(bool(run.failed) or any(row.falls_short for row in run.rows))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, smaller sizes")
    parser.add_argument("--only", metavar="P1,P2", type=_names, help=f"some of {', '.join(GROUPS)}")
    parser.add_argument("--json", metavar="FILE", type=Path, help="keep the rows")
    parser.add_argument("--plots", metavar="DIR", type=Path, help="draw goals and growth as SVG")
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    parser.add_argument("--compare", metavar="FILE", type=Path, nargs=2, help="say where two runs disagree")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in GROUPS and name not in MEASURED_WITH]:
        raise argparse.ArgumentTypeError(f"there is no {', '.join(unknown)}: take some of {', '.join(GROUPS)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
