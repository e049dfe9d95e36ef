"""Two runs beside each other: where they differ by more than both said they may."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.spread import worded

DRIFT = 0.05
"""Share by which the machine itself differs from run to run; a figure that stands alone has nothing that shows it."""


@dataclass(frozen=True, slots=True)
class Told:
    """What one run told of one row."""

    figure: float
    noise: float
    is_alone: bool = False

    def agrees_with(self, other: Told) -> bool:
        """Whether the two figures are as near as both stated."""
        drift = DRIFT * (abs(self.figure) + abs(other.figure)) if self.is_alone else 0.0
        return abs(self.figure - other.figure) <= self.noise + other.noise + drift

    def __str__(self) -> str:
        return f"{worded(self.figure)} ± {worded(self.noise)}"


def load(path: Path) -> dict[str, Told]:
    """Read what a run kept: of each row its ratio, or its figure where that stands alone."""
    told: dict[str, Told] = {}
    for row in json.loads(path.read_text())["rows"]:
        figure = row["ratio"] if row["value"] is None else row["value"]
        if figure is not None:
            told[f"{row['group']} {row['measure']}{_beside(row['base'])}"] = Told(
                figure, row["noise"], row["value"] is not None
            )
    return told


def show(first: Mapping[str, Told], second: Mapping[str, Told], console: Console) -> int:
    """Print the rows that disagree, and return an exit code."""
    both = [name for name in first if name in second]
    apart = [name for name in both if not first[name].agrees_with(second[name])]
    table = Table("rows that disagree", "first", "second", box=None, pad_edge=False)
    for name in apart:
        table.add_row(name, str(first[name]), str(second[name]))
    console.print(f"{len(both) - len(apart)} of {len(both)} rows agree within the noise that both runs stated.")
    if apart:
        console.print(table)
    for name in sorted(first.keys() ^ second.keys()):
        console.print(f"In one run only: {name}.")
    return int(bool(apart))


def _beside(base: str) -> str:
    """Give who a row is compared with, without the figure: two rows may share a measure."""
    return f" beside {base[base.index('(') + 1 : -1]}" if base.endswith(")") else ""
