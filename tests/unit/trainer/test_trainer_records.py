from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from connectors.trainer.checkpoints import CheckpointFolder, step_of
from connectors.trainer.exit_codes import ExitCode
from connectors.trainer.pace import Pace
from connectors.trainer.records import RecordWriter

pytestmark = pytest.mark.unit


def test_every_record_is_one_line_with_its_time(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path / "new" / "records.jsonl", attempt=2)
    writer.phase("training")
    writer.progress(1, 9, 4.04)
    writer.result("failed", ExitCode.BAD_DATA, "line\nbreak")
    phase, progress, result = map(json.loads, (tmp_path / "new" / "records.jsonl").read_text().splitlines())
    assert phase["phase"] == "training"
    assert progress["estimated_remaining_seconds"] == 4.0
    assert (result["exit_code"], result["reason"], result["attempt"]) == (65, "USER_ERROR", 2)
    assert all(isinstance(record["time"], float) for record in (phase, progress, result))


@pytest.mark.parametrize(("value", "kept"), [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf"), (0.5, 0.5)])
def test_values_that_json_does_not_know_are_kept_as_strings(tmp_path: Path, value: float, kept: object) -> None:
    RecordWriter(tmp_path / "r.jsonl").metric("loss", value, 1, 0.1)
    assert json.loads((tmp_path / "r.jsonl").read_text())["value"] == kept


def test_a_second_run_appends(tmp_path: Path) -> None:
    for _ in range(2):
        RecordWriter(tmp_path / "r.jsonl").phase("saving")
    assert len((tmp_path / "r.jsonl").read_text().splitlines()) == 2


def write_checkpoint(folder: Path, step: int) -> None:
    (folder / f"checkpoint-{step}").mkdir()
    (folder / f"checkpoint-{step}" / "trainer_state.json").write_text("{}")


def test_a_torn_checkpoint_is_not_resumed_from(tmp_path: Path) -> None:
    checkpoints = CheckpointFolder(tmp_path)
    checkpoints.prepare()
    write_checkpoint(checkpoints.unfinished, 9)
    (tmp_path / "checkpoints" / "checkpoint-8").mkdir()
    assert checkpoints.latest() is None
    checkpoints.publish(9)
    latest = checkpoints.latest()
    assert latest is not None
    assert step_of(latest) == 9
    checkpoints.prepare()
    assert list(checkpoints.unfinished.iterdir()) == []


def test_only_the_newest_checkpoints_are_kept(tmp_path: Path) -> None:
    checkpoints = CheckpointFolder(tmp_path)
    checkpoints.prepare()
    for step in (5, 10, 15):
        write_checkpoint(checkpoints.unfinished, step)
        checkpoints.publish(step)
    kept = sorted(path.name for path in (tmp_path / "checkpoints").glob("checkpoint-*"))
    assert kept == ["checkpoint-10", "checkpoint-15"]


def test_the_pace_counts_only_the_steps_of_this_run() -> None:
    now = [0.0]
    pace = Pace(clock=lambda: now[0])
    pace.start(step=50, total_steps=100)
    assert pace.remaining_seconds(50) is None
    now[0] = 10.0
    assert pace.remaining_seconds(60) == 40.0
    assert pace.tokens_per_second(500) == 50.0
    now[0] = 20.0
    pace.pause_over()
    now[0] = 30.0
    assert pace.tokens_per_second(700) == 20.0
