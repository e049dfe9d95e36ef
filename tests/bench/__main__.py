"""Measure the gateway beside what it could be replaced by: `make bench`, `make bench ARGS='--quick --only P1,P3'`.

Prints one table. `--json FILE` keeps it, `--plots DIR` draws it, `--write` puts it into docs/benchmarks.md. Exits with
1 where a goal is missed by more than the noise of this run.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from tests.bench import report
from tests.bench.groups import GROUPS, measure

QUICK_ROUNDS = 3
ROUNDS = 9


def main() -> int:
    """Measure and print."""
    arguments = _arguments()
    wanted = arguments.only.split(",") if arguments.only else list(GROUPS)
    run = asyncio.run(measure(wanted, QUICK_ROUNDS if arguments.quick else ROUNDS))
    report.show(run)
    if arguments.json:
        arguments.json.write_text(report.as_json(run))
    if arguments.plots:
        report.draw(run, arguments.plots)
    if arguments.write:
        report.write_page(run)
    return int(any(row.falls_short for row in run.rows))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--only", metavar="P1,P2", help=f"some of {', '.join(GROUPS)}")
    parser.add_argument("--json", metavar="FILE", type=Path, help="keep the rows")
    parser.add_argument("--plots", metavar="DIR", type=Path, help="draw the ratios as SVG")
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
