"""Draw how far goals were reached: `plot.py RUN.json FOLDER`, in the peers' environment, which has matplotlib."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "bench"  # the same run gives the same file

from matplotlib import pyplot as plt  # noqa: E402 - behind the choice of the backend


def main(source: str, folder: str) -> None:
    """Draw the rows that have a ratio and a goal, and those that were measured in several sizes."""
    rows = json.loads(Path(source).read_text())["rows"]
    if found := [row for row in rows if row["ratio"] and row["goal"]]:
        _draw_goals(found, Path(folder) / "goals.svg")
    if found := [row for row in rows if row["costs"]]:
        _draw_growth(found, Path(folder) / "growth.svg")


def _draw_goals(rows: list[dict[str, object]], path: Path) -> None:
    labels = [f"{row['group']} {row['measure']}" for row in rows]
    reached = [_reached(row) for row in rows]
    figure, axes = plt.subplots(figsize=(10, 0.4 * len(rows) + 1.5))
    axes.barh(labels, reached, color=["#c33" if row["falls_short"] else "#38a" for row in rows])
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_xlabel("how far the goal was reached (1 = just; more is better)")
    axes.invert_yaxis()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def _draw_growth(rows: list[dict[str, object]], path: Path) -> None:
    figure, axes = plt.subplots(figsize=(8, 5))
    for row in rows:
        sizes, costs = zip(*row["costs"], strict=True)
        axes.loglog(sizes, costs, marker="o", label=row["measure"])
    axes.set_xlabel("how many")
    axes.set_ylabel("seconds")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def _reached(row: dict[str, float]) -> float:
    return row["ratio"] / row["goal"] if row["at_least"] else row["goal"] / row["ratio"]


if __name__ == "__main__":
    main(*sys.argv[1:])
