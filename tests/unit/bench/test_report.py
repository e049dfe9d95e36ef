"""What is printed, kept and compared."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from tests.bench import compare, report
from tests.bench.groups import Run
from tests.bench.machine import Machine
from tests.bench.row import Row

pytestmark = pytest.mark.unit

CALL = Row.beside("a call", [0.0018] * 6, [0.001] * 6, "direct", 1.7)
LIMITED = CALL.limited([0.00175] * 6, "a bare pass-through", 1.2, "two hops")
RATE = Row.alone("states", [90.0, 100.0, 110.0, 100.0, 100.0, 100.0], "states/s", least=50)


def run_of(*rows: Row) -> Run:
    rows = tuple(replace(row, group="P2") for row in rows)
    return Run(
        Machine.found(), datetime(2030, 1, 2, tzinfo=UTC), rows, ("nginx is not installed",), ("P9",), {"P2": 1.0}
    )


def test_the_page_has_a_line_for_each_row_and_for_the_floor_under_it() -> None:
    lines = report.as_markdown(run_of(CALL, LIMITED, RATE)).splitlines()
    assert lines[1:3] == ["Left out: nginx is not installed.  ", "Could not be measured: P9."]
    assert lines[-4:] == [
        "| P2 | a call | 1.80 ms | 1.00 ms (direct) | 1.80 ± 0.00 | ≤ 1.7 | **missed** |",
        "| P2 | a call | 1.80 ms | 1.00 ms (direct) | 1.80 ± 0.00 | ≤ 1.7 | limit |",
        "|  | ↳ floor: a bare pass-through | 1.75 ms |  | 1.03 ± 0.00 | ≤ 1.2 | two hops |",
        "| P2 | states | 100 ± 10.0 states/s |  |  | ≥ 50 | met |",
    ]


def test_the_terminal_shows_the_same_cells() -> None:
    output = StringIO()
    report.show(run_of(LIMITED), Console(file=output, width=200))
    assert "↳ floor: a bare pass-through" in output.getvalue()
    assert "limit" in output.getvalue()


def test_two_runs_agree_within_what_both_said_of_their_noise(tmp_path: Path) -> None:
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    near = Row.alone("states", [135.0, 139.0, 131.0, 135.0, 135.0, 135.0], "states/s", least=50)
    first.write_text(report.as_json(run_of(CALL, RATE)))
    second.write_text(report.as_json(run_of(CALL, near)))
    output = StringIO()
    assert compare.show(compare.load(first), compare.load(second), Console(file=output, width=200)) == 1
    assert "1 of 2 rows agree" in output.getvalue()
    assert compare.show(compare.load(first), compare.load(first), Console(file=output)) == 0


def test_rows_that_differ_only_in_what_is_beside_them_are_not_mixed_up(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    other = Row.beside("a call", [0.0018] * 6, [0.002] * 6, "nginx", None)
    path.write_text(report.as_json(run_of(CALL, other, RATE)))
    assert {name: told.figure for name, told in compare.load(path).items()} == {
        "P2 a call beside direct": pytest.approx(1.8),
        "P2 a call beside nginx": pytest.approx(0.9),
        "P2 states": pytest.approx(100.0),
    }


def test_figures_that_stand_alone_may_differ_by_what_the_machine_does() -> None:
    assert compare.Told(100.0, 1.0, True).agrees_with(compare.Told(111.0, 1.0, True))
    assert not compare.Told(100.0, 1.0, True).agrees_with(compare.Told(115.0, 1.0, True))
    assert not compare.Told(100.0, 1.0).agrees_with(compare.Told(111.0, 1.0))
