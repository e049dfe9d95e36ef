"""Groups one after the other."""

from __future__ import annotations

import os
import time

import pytest

from tests.bench.groups import GROUPS, MEASURED_WITH, measure
from tests.bench.measure import Effort
from tests.bench.processor import processor_seconds
from tests.bench.row import Row

pytestmark = pytest.mark.unit

EFFORT = Effort(rounds=1, is_full=False)


async def test_a_group_that_fails_costs_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    async def works(effort: Effort) -> list[Row]:
        return [Row("calls", f"{effort.rounds}"), Row("searches", "1", group="P2")]

    async def fails(_: Effort) -> list[Row]:
        raise RuntimeError("no such peer")

    run = await measure(["P3", "P1", "P2"], EFFORT, {"P1": ("calls", works), "P3": ("lines", fails)})
    assert [(row.group, row.measure) for row in run.rows] == [("P1", "calls"), ("P2", "searches")]
    assert (run.failed, list(run.took)) == (("P3",), ["P3", "P1"])
    assert "no such peer" in capsys.readouterr().err


def test_what_is_measured_with_another_group_has_no_group_of_its_own() -> None:
    assert not MEASURED_WITH.keys() & GROUPS.keys()
    assert set(MEASURED_WITH.values()) <= GROUPS.keys()


def test_processor_time_grows_with_work_and_not_with_waiting() -> None:
    before, own = processor_seconds(os.getpid()), time.process_time()
    while time.process_time() - own < 0.05:
        pass
    assert processor_seconds(os.getpid()) - before > 0.04
    before = processor_seconds(os.getpid())
    time.sleep(0.05)
    assert processor_seconds(os.getpid()) - before < 0.04
