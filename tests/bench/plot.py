"""Draw how far goals were reached: `plot.py RUN.json FOLDER`, in the peers' environment, which has matplotlib."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "bench"  # the same run gives the same file

from matplotlib import pyplot as plt  # noqa: E402 - behind the choice of the backend

COLOURS = {"met": "#2a7ab0", "within noise": "#8ab6d6", "limit": "#e0a030", "missed": "#c0392b"}
INCHES_PER_BAR = 0.26
LEAST_REACHED = 0.01
"""A bar that says a hundredth is long enough."""


def main(source: str, folder: str) -> None:
    """Draw the rows that have a goal, and those that were measured in several sizes."""
    rows = json.loads(Path(source).read_text())["rows"]
    if found := [row for row in rows if row["verdict"] and not row["costs"]]:
        _draw_goals(found, Path(folder) / "goals.svg")
    if found := [row for row in rows if row["costs"]]:
        _draw_growth(found, Path(folder) / "growth.svg")


def _draw_goals(rows: list[dict[str, object]], path: Path) -> None:
    figure, axes = plt.subplots(figsize=(11, INCHES_PER_BAR * len(rows) + 1.4))
    reaches = [max(_reached(row), LEAST_REACHED) for row in rows]
    for place, (row, reached) in enumerate(zip(rows, reaches, strict=True)):
        # From 1 on: to the right is better than the goal, to the left it is missed.
        axes.barh(place, reached - 1, left=1, color=COLOURS[row["verdict"]], height=0.7)
        axes.text(1.01, place, _told(row), transform=axes.get_yaxis_transform(), va="center", fontsize=7)
    axes.set_yticks(range(len(rows)), [_label(row) for row in rows], fontsize=8)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("times as good as the goal (1 = just met)")
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(visible=True, axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    verdicts = [verdict for verdict in COLOURS if any(row["verdict"] == verdict for row in rows)]
    patches = [mpl.patches.Patch(color=COLOURS[verdict], label=verdict) for verdict in verdicts]
    figure.legend(handles=patches, loc="upper center", ncols=len(patches), fontsize=8, frameon=False)
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.3 / figure.get_figheight()))
    figure.savefig(path, metadata={"Date": None})


def _draw_growth(rows: list[dict[str, object]], path: Path) -> None:
    columns = 3
    lines = -(-len(rows) // columns)
    figure, grid = plt.subplots(lines, columns, figsize=(11, 2.9 * lines), squeeze=False)
    for axes, row in zip(grid.flat, rows, strict=False):
        sizes, costs = zip(*row["costs"], strict=True)
        axes.loglog(sizes, costs, marker="o", color=COLOURS["met"])
        linear = [costs[-1] * size / sizes[-1] for size in sizes]
        axes.loglog(sizes, linear, color="#999", linestyle=":", label="in proportion")
        middle = (min(costs) * max(costs)) ** 0.5
        axes.set_ylim(min(min(costs) / 3, middle / 10), max(max(costs) * 3, middle * 10))
        axes.set_title(f"{row['measure'].removeprefix('exponent of ')}: {row['value']:.2f}", fontsize=9)
        axes.set_xlabel("how many", fontsize=8)
        axes.set_ylabel("seconds", fontsize=8)
        axes.xaxis.set_major_formatter(mpl.ticker.EngFormatter(sep=""))
        axes.yaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
        axes.minorticks_off()
        axes.tick_params(labelsize=7)
        axes.grid(visible=True, alpha=0.3)
        axes.legend(fontsize=7, frameon=False)
    for axes in grid.flat[len(rows) :]:
        axes.set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def _label(row: dict[str, object]) -> str:
    """Name a row; two may share a measure, and differ in what is beside them."""
    base = row["base"]
    beside = f" / {base[base.index('(') + 1 : -1]}" if base.endswith(")") else ""
    return f"{row['group']} {row['measure']}{beside}"


def _told(row: dict[str, object]) -> str:
    if row["value"] is None:
        return f"{row['ratio']:.2f} (goal {'≥' if row['at_least'] else '≤'} {row['goal']:g})"
    least = row["least"] is not None
    return f"{row['figure']} (goal {'≥' if least else '≤'} {row['least'] if least else row['most']:,g})"


def _reached(row: dict[str, float]) -> float:
    if row["value"] is None:
        return row["ratio"] / row["goal"] if row["at_least"] else row["goal"] / row["ratio"]
    if row["least"] is not None:
        return row["value"] / row["least"]
    return row["most"] / max(row["value"], 1e-9)


if __name__ == "__main__":
    main(*sys.argv[1:])
