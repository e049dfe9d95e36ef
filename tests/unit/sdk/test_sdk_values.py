"""What authors return, and what travels."""

import math

import pytest

from connector_sdk._metrics import read_metrics
from connector_sdk._observation import to_observation
from connector_sdk._text import cut
from connectors.base import JobObservation, JobStatus, MetricPoint
from peftstudio.job.v1 import job_state_pb2 as pb

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("pending", pb.JOB_STATE_QUEUED),
        ("RUNNING", pb.JOB_STATE_RUNNING),
        ("paused", pb.JOB_STATE_PAUSED),
        ("completed", pb.JOB_STATE_SUCCEEDED),
        ("failed", pb.JOB_STATE_FAILED),
        ("cancelled", pb.JOB_STATE_CANCELLED),
        ("canceled", pb.JOB_STATE_CANCELLED),
        (JobStatus.COMPLETED, pb.JOB_STATE_SUCCEEDED),
        ("exited", pb.JOB_STATE_UNSPECIFIED),
        ("", pb.JOB_STATE_UNSPECIFIED),
        ("weird \ud800", pb.JOB_STATE_UNSPECIFIED),
    ],
)
def test_a_word_stands_for_a_state_or_for_none(word: str, state: int) -> None:
    assert to_observation(word).state == state


def test_the_platforms_own_word_is_kept() -> None:
    assert to_observation("Exited (137)").raw_state == "Exited (137)"


@pytest.mark.parametrize(
    ("status", "phase", "state"),
    [
        ("pending", "provisioning", pb.JOB_STATE_PROVISIONING),
        ("running", "finalizing", pb.JOB_STATE_FINALIZING),
        ("running", "pausing", pb.JOB_STATE_PAUSING),
        ("failed", "running", pb.JOB_STATE_FAILED),
    ],
)
def test_a_phase_refines_a_state_that_has_not_ended(status: str, phase: str, state: int) -> None:
    said = JobObservation.model_validate({"status": status, "phase": phase})
    assert to_observation(said).state == state


def test_an_unknown_reason_is_no_reason() -> None:
    said = JobObservation(status=JobStatus.FAILED, reason="COSMIC_RAYS")
    assert to_observation(said).reason == pb.JOB_REASON_UNSPECIFIED


def test_what_is_held_is_derived_unless_it_is_said() -> None:
    running = JobObservation(status=JobStatus.RUNNING)
    assert to_observation(running).resource_state == pb.RESOURCE_STATE_HELD
    assert to_observation("pending").resource_state == pb.RESOURCE_STATE_NONE
    failed = JobObservation(status=JobStatus.FAILED, resource_held=True)
    assert to_observation(failed).resource_state == pb.RESOURCE_STATE_HELD


@pytest.mark.parametrize(
    ("said", "points"),
    [
        ({"loss": 0.5, "step": 3, "epoch": 0.1, "note": "x", "ok": True}, [("loss", 0.5, 3)]),
        ([{"loss": 2, "step": 1}, {"eval_loss": 1.5, "global_step": 2}], [("loss", 2, 1), ("eval_loss", 1.5, 2)]),
        ({"loss": [2.5, 2.0]}, [("loss", 2.5, 1), ("loss", 2.0, 2)]),
        ({"metrics": [{"loss": 1, "step": 1}]}, [("loss", 1, 1)]),
        ([{"name": "loss", "value": 0.25, "step": 9}], [("loss", 0.25, 9)]),
        ([MetricPoint(name="loss", value=1, step=4)], [("loss", 1, 4)]),
        ({}, []),
    ],
)
def test_metrics_are_read_in_every_shape(said: object, points: list[tuple[str, float, int]]) -> None:
    assert [(point.name, point.value, point.step) for point in read_metrics(said)] == points  # type: ignore[arg-type]


def test_metrics_that_are_no_numbers_stay_what_they_are() -> None:
    (point,) = read_metrics({"loss": math.nan})
    assert math.isnan(point.value)


def test_text_is_cut_by_bytes_and_stays_valid() -> None:
    assert cut("äöü", 6) == "äöü"
    assert cut("äöüß", 6) == "ä…"
    assert cut("a\ud800", 10) == "a?"
