"""What a run found, for people and for programs: a table, JSON, plots, and docs/benchmarks.md."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from tests.bench.groups import Run
from tests.bench.peers import peers_program
from tests.bench.peers.fronts import missing
from tests.bench.row import Row, Verdict
from tests.bench.spread import worded

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
PLOT = Path(__file__).with_name("plot.py")
HEADINGS = ("", "measure", "figure", "beside", "ratio", "goal", "")
STYLES = {Verdict.MISSED: "red", Verdict.LIMIT: "yellow", Verdict.UNCLEAR: "yellow"}


def show(run: Run, console: Console) -> None:
    """Print the table."""
    console.print(*_heading(run), sep="\n")
    table = Table(*HEADINGS, box=None, pad_edge=False)
    for row in run.rows:
        for cells in _lines(row):
            table.add_row(*cells, style=STYLES.get(row.verdict) if row.verdict else None)
    console.print(table)


def as_json(run: Run) -> str:
    """Give all that was found as JSON."""
    rows = [{**asdict(row), "verdict": row.verdict} for row in run.rows]
    whole = {**asdict(run), "finished_at": run.finished_at.isoformat(), "rows": rows}
    return json.dumps(whole, indent=2, ensure_ascii=False)


def draw(run: Run, folder: Path) -> None:
    """Draw the goals and the growth, by a program in the peers' environment; without matplotlib nothing is drawn."""
    if words := missing("matplotlib"):
        print(f"Nothing is drawn: {words}.", file=sys.stderr)
        return
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as name:
        data = Path(name) / "run.json"
        data.write_text(as_json(run))
        subprocess.run([str(peers_program("python")), str(PLOT), str(data), str(folder)], check=True)


def write_page(run: Run) -> None:
    """Put the table between the page's markers, with the plots beside the page."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{as_markdown(run)}\n{END}{after}")
    draw(run, PAGE.parent / "benchmarks")


def as_markdown(run: Run) -> str:
    """Give the table as Markdown."""
    rows = [cells for row in run.rows for cells in _lines(row, missed="**missed**")]
    table = [f"| {' | '.join(cells)} |" for cells in [HEADINGS, ["---"] * len(HEADINGS), *rows]]
    return "\n".join(["  \n".join(_heading(run)), "", *table])


def _heading(run: Run) -> list[str]:
    return [
        f"{run.machine}; {run.finished_at:%Y-%m-%d}; {sum(run.took.values()):.0f} s.",
        *(f"Left out: {what}." for what in run.left_out),
        *(f"Could not be measured: {name}." for name in run.failed),
    ]


def _lines(row: Row, missed: str = "missed") -> Iterator[tuple[str, ...]]:
    """Give a row's cells, and those of the floor under it."""
    ratio = "" if row.ratio is None else _with_noise(row.ratio, row.noise)
    verdict = missed if row.verdict is Verdict.MISSED else str(row.verdict or "")
    yield row.group, row.measure, _figure(row), row.base, ratio, row.goal_words, verdict
    if row.limit:
        near = _with_noise(row.limit.ratio, row.limit.noise)
        yield "", f"↳ floor: {row.limit.floor}", row.limit.figure, "", near, row.limit.goal_words, row.limit.reason


def _figure(row: Row) -> str:
    if row.value is None or not row.noise:
        return row.figure
    return f"{worded(row.value)} ± {worded(row.noise)} {row.unit}".strip()


def _with_noise(ratio: float, noise: float) -> str:
    return f"{ratio:.2f} ± {noise:.2f}"
