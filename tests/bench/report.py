"""What a run found, for people and for programs: a table, JSON, plots, and docs/benchmarks.md."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from tests.bench.groups import Run
from tests.bench.measure import Row
from tests.bench.peers import peers_program

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
PLOT = Path(__file__).with_name("plot.py")


def show(run: Run) -> None:
    """Print the table."""
    console = Console()
    console.print(run.machine)
    table = Table("", "measure", "figure", "beside", "ratio", "goal", box=None)
    for row in run.rows:
        cells = _cells(row)
        table.add_row(*cells[:-2], f"[red]{cells[-2]}[/]" if row.falls_short else cells[-2], cells[-1])
    console.print(table)


def as_json(run: Run) -> str:
    """Give the rows as JSON."""
    rows = [{**asdict(row), "falls_short": row.falls_short} for row in run.rows]
    return json.dumps({"machine": run.machine, "finished_at": run.finished_at.isoformat(), "rows": rows}, indent=2)


def draw(run: Run, folder: Path) -> None:
    """Draw the ratios, by a program in the peers' environment, which has matplotlib."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as name:
        data = Path(name) / "run.json"
        data.write_text(as_json(run))
        subprocess.run([str(peers_program("python")), str(PLOT), str(data), str(folder)], check=True)


def write_page(run: Run) -> None:
    """Put the table between the page's markers, with the plots beside the page."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    lines = [
        f"{run.machine}; {run.finished_at:%Y-%m-%d}.",
        "",
        "| | measure | figure | beside | ratio | goal |",
        "|---|---|---|---|---|---|",
        *(f"| {' | '.join(_cells(row, short='**missed** '))} |" for row in run.rows),
    ]
    PAGE.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}")
    draw(run, PAGE.parent / "benchmarks")


def _cells(row: Row, short: str = "") -> tuple[str, ...]:
    ratio = "" if row.ratio is None else f"{row.ratio:.2f} ± {row.noise:.2f}"
    mark = short if row.falls_short else ""
    return row.group, row.measure, row.figure, row.base, ratio, f"{mark}{row.goal_words}"
