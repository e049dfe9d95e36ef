"""`peftstudio jobs`: what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from peftstudio.job.v1.job_state_pb2 import (
    JOB_STATE_CANCELLED,
    JOB_STATE_FAILED,
    JOB_STATE_RUNNING,
    JOB_STATE_SUCCEEDED,
    JobState,
)
from peftstudio.job.v1.log_pb2 import LogGap
from peftstudio.job.v1.metric_pb2 import Metric
from tests.support.fake_gateway import FakeGateway
from tests.wire.cli.conftest import Cli

pytestmark = [pytest.mark.wire, pytest.mark.timeout(60)]


def test_a_list_is_a_plain_table_in_a_pipe_and_an_array_as_json(fake: FakeGateway, cli: Cli) -> None:
    fake.state.add_job("first")
    fake.state.add_job("second", JOB_STATE_FAILED)

    table, array = cli("jobs", "list"), cli("jobs", "list", "--json")

    assert [line.split()[:2] for line in table.out.splitlines()] == [
        ["JOB", "STATE"],
        ["second", "failed"],
        ["first", "succeeded"],
    ]
    assert "\x1b" not in table.out
    assert isinstance(array.json, list)
    assert [job["state"] for job in array.json] == ["JOB_STATE_FAILED", "JOB_STATE_SUCCEEDED"]


def test_an_empty_list_is_an_empty_array_and_a_word_on_stderr(cli: Cli) -> None:
    assert cli("jobs", "list", "--json").json == []
    empty = cli("jobs", "list")
    assert (empty.out, empty.err.strip()) == ("", "no jobs")


def test_a_list_can_be_filtered_and_cut(fake: FakeGateway, cli: Cli) -> None:
    for number in range(5):
        fake.state.add_job(f"j{number}", JOB_STATE_RUNNING if number % 2 else JOB_STATE_FAILED)

    running = cli("jobs", "list", "--state", "running", "--json").json
    two = cli("jobs", "list", "--limit", "2", "--ascending", "--json").json

    assert isinstance(running, list)
    assert isinstance(two, list)
    assert [job["id"] for job in running] == ["j3", "j1"]
    assert [job["id"] for job in two] == ["j0", "j1"]


def test_a_job_is_found_by_the_beginning_of_its_id_if_there_is_only_one(fake: FakeGateway, cli: Cli) -> None:
    fake.state.add_job("abc1")
    fake.state.add_job("abd2")
    fake.state.add_job("ab")

    assert cli("jobs", "get", "abc", "--json").json == cli("jobs", "get", "abc1", "--json").json
    assert cli("jobs", "get", "ab").code == 0
    ambiguous = cli("jobs", "get", "a")
    assert ambiguous.code == 2
    assert "is the beginning of several jobs: ab, abd2, abc1" in ambiguous.err


def test_an_unknown_job_is_exit_code_3_and_one_line(cli: Cli) -> None:
    missing = cli("jobs", "get", "zzz")

    assert (missing.code, missing.out) == (3, "")
    assert missing.err == "peftstudio: there is no job 'zzz'\n"


def test_submitting_uploads_a_local_dataset_and_prints_the_job(fake: FakeGateway, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text('{"text": "a"}\n')

    done = cli(
        *("jobs", "submit", "-c", "local", "-m", "org/m", "-d", str(tmp_path / "d.jsonl"), "--rank", "4"),
        *("--lr", "1e-3", "--label", "a=b", "--max-cost", "2.5", "--set", "options.x=1", "--json"),
    )

    [job] = fake.state.jobs.values()
    assert done.code == 0
    assert job.config.dataset_path in fake.state.datasets
    assert (job.config.rank, job.config.learning_rate, job.config.options["x"]) == (4, 1e-3, 1)
    assert (job.limits.max_cost_micros, dict(job.labels)) == (2_500_000, {"a": "b"})
    assert json.loads(done.out)["id"] == job.id


def test_a_file_is_submitted_and_flags_win_over_it(fake: FakeGateway, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(
        "connection: local\nconfig: {base_model: org/m, rank: 8, dataset_path: data.jsonl, learning_rate: 2e-4}\n"
    )
    (tmp_path / "data.jsonl").write_text("x\n")

    assert cli("jobs", "submit", "-f", str(tmp_path / "job.yaml"), "--rank", "16").code == 0

    [job] = fake.state.jobs.values()
    assert (job.config.base_model, job.config.rank, job.config.learning_rate) == ("org/m", 16, 2e-4)
    assert job.config.dataset_path.startswith("upload://")


def test_a_dataset_with_a_scheme_or_no_upload_is_passed_on(fake: FakeGateway, cli: Cli) -> None:
    cli("jobs", "submit", "-c", "local", "-m", "m", "-d", "hf://org/data")
    cli("jobs", "submit", "-c", "local", "-m", "m", "-d", "/far/away", "--no-upload")

    assert [job.config.dataset_path for job in fake.state.jobs.values()] == ["hf://org/data", "/far/away"]
    assert cli("jobs", "submit", "-c", "local", "-m", "m", "-d", "/far/away").code == 2


def test_a_dry_run_starts_nothing(fake: FakeGateway, cli: Cli) -> None:
    done = cli("jobs", "submit", "-c", "local", "-m", "m", "--dry-run")

    assert done.code == 0
    assert "nothing was started" in done.err
    assert fake.state.jobs == {}


def test_each_violation_is_a_line_and_the_exit_code_is_4(cli: Cli) -> None:
    ours = cli("jobs", "submit", "-c", "local", "--set", "rnak=1", "--set", "seed=x")
    theirs = cli("jobs", "submit", "-c", "local", "--rank", "0")

    assert ours.code == theirs.code == 4
    assert ours.err.splitlines() == [
        "peftstudio: config.rnak: there is no such field; did you mean rank?",
        "peftstudio: config.seed: 'x' is not a whole number",
    ]
    assert theirs.err.splitlines() == [
        "peftstudio: config.base_model: is required",
        "peftstudio: config.rank: must be at least 1",
    ]


@pytest.mark.parametrize(("state", "code"), [(JOB_STATE_SUCCEEDED, 0), (JOB_STATE_FAILED, 7), (JOB_STATE_CANCELLED, 8)])
def test_waiting_ends_with_the_exit_code_of_the_job(
    fake: FakeGateway, cli: Cli, state: JobState.ValueType, code: int
) -> None:
    fake.state.add_job("j", state)

    assert cli("jobs", "wait", "j").code == code


def test_waiting_too_long_is_exit_code_1(fake: FakeGateway, cli: Cli) -> None:
    fake.state.add_job("j", JOB_STATE_RUNNING)

    late = cli("jobs", "wait", "j", "--timeout", "0.2s")

    assert late.code == 1
    assert "has not ended" in late.err


def test_verbs_change_the_job(fake: FakeGateway, cli: Cli) -> None:
    fake.state.add_job("j", JOB_STATE_RUNNING)

    assert "paused" in cli("jobs", "pause", "j").out
    assert "running" in cli("jobs", "resume", "j").out
    assert "cancelled" in cli("jobs", "cancel", "j").out
    assert cli("jobs", "cancel", "j").code == 0
    refused = cli("jobs", "pause", "j")
    assert (refused.code, refused.err) == (4, "peftstudio: job j has ended\n")


def test_a_log_is_lines_in_a_pipe_and_json_lines_for_scripts(fake: FakeGateway, cli: Cli) -> None:
    fake.state.add_job("j")
    fake.state.add_lines("j", "one", "two", "three")
    fake.state.faults.log_cuts = [0, 1]

    assert cli("jobs", "logs", "j", "-f").out == "one\ntwo\nthree\n"
    assert cli("jobs", "logs", "j", "--tail", "1").out == "three\n"
    lines = [json.loads(line) for line in cli("jobs", "logs", "j", "--json").out.splitlines()]
    assert [line["seq"] for line in lines] == ["1", "2", "3"]


def test_lines_that_are_missing_are_told_in_words_also_to_scripts(fake: FakeGateway, cli: Cli) -> None:
    fake.state.add_job("j")
    fake.state.add_lines("j", "one", "two", "three")
    fake.state.gaps["j"] = LogGap(from_seq=1, to_seq=2, why="older lines were deleted")

    assert cli("jobs", "logs", "j").out == "lines 1 to 2 are missing: older lines were deleted\nthree\n"
    gap, line = (json.loads(line) for line in cli("jobs", "logs", "j", "--json").out.splitlines())
    assert (gap["stream"], gap["text"]) == ("LOG_STREAM_SYSTEM", "lines 1 to 2 are missing: older lines were deleted")
    assert line["text"] == "three"


def test_metrics_are_points_in_a_pipe_and_one_message_as_json(fake: FakeGateway, cli: Cli) -> None:
    fake.state.add_job("j")
    fake.state.metrics["j"] = [Metric(name="loss", step=step, value=1 / step) for step in (1, 2)]

    assert cli("jobs", "metrics", "j").out == "1\tloss\t1\n2\tloss\t0.5\n"
    assert cli("jobs", "metrics", "j", "--follow").out == "1\tloss\t1\n2\tloss\t0.5\n"
    answer = cli("jobs", "metrics", "j", "--json").json
    assert isinstance(answer, dict)
    assert [point["value"] for point in answer["metrics"]] == [1, 0.5]


def test_following_a_submission_shows_the_log_and_ends_as_the_job_ends(fake: FakeGateway, cli: Cli) -> None:
    fake.state.add_job("done", JOB_STATE_FAILED).request_id = "again"
    fake.state.add_lines("done", "it broke")

    followed = cli("jobs", "submit", "-c", "local", "-m", "m", "--request-id", "again", "--follow")

    assert followed.code == 7
    assert "it broke" in followed.out
