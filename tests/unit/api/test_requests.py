"""What is wrong with a submission, all of it at once."""

from __future__ import annotations

import pytest

from gateway.api.requests import RULES, submit_violations, without
from peftstudio.gateway.v1.jobs_service_pb2 import JobLimits, SubmitJobRequest
from peftstudio.job.v1.training_config_pb2 import TrainingConfig

pytestmark = pytest.mark.unit

GOOD = TrainingConfig(base_model="m", dataset_path="d")


def violations(request: SubmitJobRequest) -> dict[str, str]:
    return {violation.field: violation.description for violation in submit_violations(request)}


def test_a_minimal_submission_is_in_order() -> None:
    assert violations(SubmitJobRequest(connection_id="local", config=GOOD)) == {}


def test_an_empty_submission_names_everything_that_is_missing() -> None:
    assert set(violations(SubmitJobRequest())) == {"connection_id", "config.base_model", "config.dataset_path"}


def test_a_rank_of_zero_and_every_other_wrong_number_are_named_together() -> None:
    config = TrainingConfig(
        base_model="m",
        dataset_path="d",
        rank=0,
        alpha=-1,
        dropout=1,
        learning_rate=float("nan"),
        validation_split=1.5,
        quantization="int3",
        algorithm="../x",
        target_modules=[" "],
    )
    request = SubmitJobRequest(connection_id="local", config=config, limits=JobLimits(max_cost_micros=-1))
    found = violations(request)
    assert found["config.rank"] == "is 0; it must be 1 or more; 8 or 16 suit most models"
    assert set(found) == {
        "config.rank",
        "config.alpha",
        "config.dropout",
        "config.learning_rate",
        "config.validation_split",
        "config.quantization",
        "config.algorithm",
        "config.target_modules",
        "limits.max_cost_micros",
    }


def test_every_rule_is_about_a_field_of_the_contract() -> None:
    assert {rule.field for rule in RULES} <= set(TrainingConfig.DESCRIPTOR.fields_by_name)


def test_what_cannot_be_used_is_left_out_so_that_the_rest_can_be_checked() -> None:
    config = TrainingConfig(base_model="m", dataset_path="d", rank=0, alpha=4)
    request = SubmitJobRequest(connection_id="local", config=config)
    rest = without(request, submit_violations(request))
    assert rest is not None
    assert rest.config == TrainingConfig(base_model="m", dataset_path="d", alpha=4)
    empty = SubmitJobRequest()
    assert without(empty, submit_violations(empty)) is None
