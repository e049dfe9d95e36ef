"""Values as people read and write them."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.cli import words
from gateway.cli.durations import parse_duration, parse_moment
from gateway.cli.exit_codes import MEANINGS, ExitCode, exit_code_of
from gateway.cli.job_file import Order, limits_message, parse_settings, read_order
from gateway.cli.running import CommandError
from gateway.cli.sparkline import sparkline
from peftstudio.job.v1.error_reason_pb2 import ErrorReason

pytestmark = pytest.mark.unit


def test_a_sparkline_goes_from_the_least_to_the_greatest() -> None:
    assert sparkline([3, 2, 1], 10) == "█▅▁"
    assert sparkline([1, 1], 10) == "▅▅"
    assert sparkline([], 10) == ""
    assert sparkline([0, math.nan, 1, math.inf], 10) == "▁?█?"
    assert len(sparkline(list(range(1000)), 40)) == 40


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("1h30m", 5400), ("2d", 172_800), ("0.5h", 1800)]
)
def test_lengths_of_time_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "soon", "5 m", "-3s", "m"])
def test_what_is_no_length_of_time_is_a_usage_error(text: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse_duration(text)

    assert caught.value.code == ExitCode.USAGE


def test_moments_are_so_long_ago_or_iso_times() -> None:
    now = datetime(2030, 1, 1, 12, tzinfo=UTC)

    assert parse_moment("30m", now) == datetime(2030, 1, 1, 11, 30, tzinfo=UTC)
    assert parse_moment("2029-12-31T00:00:00Z") == datetime(2029, 12, 31, tzinfo=UTC)


def test_sizes_times_and_money_are_short() -> None:
    assert [words.size(count) for count in (0, 1023, 1536, 3 * 1024**3)] == ["0 B", "1023 B", "1.5 KiB", "3.0 GiB"]
    assert [words.duration(timedelta(seconds=n)) for n in (0, 59, 3600, 7500, 90_061)] == [
        "0 s",
        "59 s",
        "1 h",
        "2 h 5 min",
        "1 d 1 h",
    ]
    assert [words.money(micros, "USD") for micros in (0, 1_440_000, 1_500)] == ["0.00 USD", "1.44 USD", "0.0015 USD"]


def test_a_file_may_be_a_whole_job_or_only_a_configuration(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text("connection: local\nlimits: {max_cost: 5}\nconfig: {rank: 8}\n")
    (tmp_path / "config.yaml").write_text("base_model: m\nrank: 8\n")

    assert read_order(tmp_path / "job.yaml").config == {"rank": 8}
    assert read_order(tmp_path / "config.yaml").config == {"base_model": "m", "rank": 8}


@pytest.mark.parametrize("content", ["[1]", "connection: a\nfoo: 1", "config: 3\nconnection: a", "{", "\x00"])
def test_a_file_that_cannot_be_used_is_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "job.yaml").write_text(content)

    with pytest.raises(CommandError, match=r"job\.yaml"):
        read_order(tmp_path / "job.yaml")


def test_flags_win_over_the_file() -> None:
    merged = Order(connection="a", config={"rank": 8, "seed": 1}, labels={"x": "1"}).merged(
        Order(config={"rank": 16}, labels={"y": "2"})
    )

    assert merged.connection == "a"
    assert merged.config == {"rank": 16, "seed": 1}
    assert merged.labels == {"x": "1", "y": "2"}


def test_settings_are_yaml_and_reach_into_options() -> None:
    assert parse_settings(["rank=4", "target_modules=[q, v]", "options.gpus=2"]) == {
        "rank": 4,
        "target_modules": ["q", "v"],
        "options": {"gpus": 2},
    }


def test_limits_are_in_money_and_time_of_people() -> None:
    limits = limits_message({"max_cost": 1.5, "max_duration": "2h", "max_price_per_hour": "0.44"})

    assert limits.max_cost_micros == 1_500_000
    assert limits.max_price_micros_per_hour == 440_000
    assert limits.max_duration.seconds == 7200


@pytest.mark.parametrize("limits", [{"cost": 1}, {"max_cost": "x"}, {"max_cost": -1}, {"max_cost": "nan"}])
def test_limits_that_cannot_be_used_are_named(limits: dict[str, object]) -> None:
    with pytest.raises(CommandError, match=r"limits\."):
        limits_message(limits)


def test_each_exit_code_has_a_meaning_and_each_reason_an_exit_code() -> None:
    assert set(MEANINGS) == set(ExitCode)
    for name in list(ErrorReason.keys()):
        assert isinstance(exit_code_of(name.removeprefix("ERROR_REASON_"), "UNKNOWN"), ExitCode)
