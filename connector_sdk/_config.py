"""Read the request to submit a job."""

from __future__ import annotations

from pydantic import ValidationError

from connector_sdk._struct import from_struct
from connector_sdk._violations import violations_of
from connector_sdk.errors import InvalidConfigError
from connector_sdk.models import FieldViolation, SubmitRequest, TrainingConfig
from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.job.v1 import training_config_pb2


def read_submit(request: pb.SubmitJobRequest) -> SubmitRequest:
    """Give the request as the author sees it; raises `InvalidConfigError` with all violations."""
    return SubmitRequest(
        job_id=request.job_id,
        submission_token=request.submission_token,
        config=read_config(request.config, request.resource_id),
        resource_id=request.resource_id,
        labels=dict(request.labels),
    )


def read_config(config: training_config_pb2.TrainingConfig, resource_id: str) -> TrainingConfig:
    """Give the configuration as the author sees it; a field that was left out gets its default."""
    # In proto3 an empty string, or a zero without presence, is not among them.
    given: dict[str, object] = {field.name: value for field, value in config.ListFields()}
    given["target_modules"] = list(config.target_modules)
    given["options"] = from_struct(config.options)
    if resource_id:
        given["resource_id"] = resource_id
    try:
        return TrainingConfig.model_validate(given)
    except ValidationError as error:
        raise InvalidConfigError(_named(violations_of(error))) from error


def _named(violations: list[FieldViolation]) -> list[FieldViolation]:
    return [FieldViolation(field=f"config.{item.field}", description=item.description) for item in violations]
