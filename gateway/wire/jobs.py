"""Jobs: their configuration, and what is seen of them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor

from gateway.errors import InvalidRequest
from gateway.jobs.model import JobConfig, JobReason, JobState, Metric, Observation, Progress, ResourceState
from gateway.wire.enums import EnumPair
from gateway.wire.struct import JSON, canonical
from gateway.wire.time import time_from_proto, time_to_proto
from peftstudio.job.v1 import job_state_pb2, metric_pb2, training_config_pb2

DEFAULT_ALGORITHM = "lora"
"""What `training_config.proto` says an absent algorithm means."""

# What fields hold is not told by their descriptors' types.
ToJson = Callable[[Any], JSON]

MOST_CONFIGS = 32
"""Kept as messages: a new job's is needed twice within moments, for whoever submitted it and for its platform."""

_STATES = EnumPair(JobState, job_state_pb2.JobState, "JOB_STATE_")
_REASONS = EnumPair(JobReason, job_state_pb2.JobReason, "JOB_REASON_")
_RESOURCE_STATES = EnumPair(ResourceState, job_state_pb2.ResourceState, "RESOURCE_STATE_")


def state_to_proto(state: JobState | None) -> job_state_pb2.JobState.ValueType:
    """Convert a state; None becomes UNSPECIFIED."""
    return job_state_pb2.JOB_STATE_UNSPECIFIED if state is None else _STATES.to_proto(state)


def state_from_proto(number: int) -> JobState | None:
    """Convert a state; None where it is unspecified or not known here."""
    return _STATES.from_proto(number)


def reason_to_proto(reason: JobReason) -> job_state_pb2.JobReason.ValueType:
    """Convert a reason."""
    return _REASONS.to_proto(reason)


def reason_from_proto(number: int) -> JobReason:
    """Convert a reason; UNSPECIFIED where it is not known here."""
    return _REASONS.from_proto(number) or JobReason.UNSPECIFIED


def resource_state_to_proto(state: ResourceState) -> job_state_pb2.ResourceState.ValueType:
    """Convert a resource state."""
    return _RESOURCE_STATES.to_proto(state)


def resource_state_from_proto(number: int) -> ResourceState:
    """Convert a resource state; UNSPECIFIED where it is not known here."""
    return _RESOURCE_STATES.from_proto(number) or ResourceState.UNSPECIFIED


def progress_to_proto(progress: Progress | None) -> job_state_pb2.Progress | None:
    """Convert progress; None stays absent."""
    if progress is None:
        return None
    return job_state_pb2.Progress(
        percentage=progress.percentage,
        step=progress.step,
        total_steps=progress.total_steps,
        estimated_remaining_seconds=progress.estimated_remaining_seconds,
    )


def progress_from_proto(message: job_state_pb2.Progress) -> Progress:
    """Convert progress; the percentage follows from the steps where the connector gives none."""
    percentage = message.percentage if math.isfinite(message.percentage) else 0.0
    if not percentage and message.total_steps > 0:
        percentage = 100.0 * message.step / message.total_steps
    has_estimate = math.isfinite(message.estimated_remaining_seconds) and message.HasField(
        "estimated_remaining_seconds"
    )
    return Progress(
        percentage=min(max(percentage, 0.0), 100.0),
        step=message.step,
        total_steps=message.total_steps,
        estimated_remaining_seconds=message.estimated_remaining_seconds if has_estimate else None,
    )


def observation_from_proto(message: job_state_pb2.JobObservation) -> Observation:
    """Convert what a connector saw."""
    return Observation(
        state=state_from_proto(message.state),
        reason=reason_from_proto(message.reason),
        message=message.message,
        raw_state=message.raw_state,
        exit_code=message.exit_code if message.HasField("exit_code") else None,
        attempt=message.attempt or 1,
        progress=progress_from_proto(message.progress) if message.HasField("progress") else None,
        resource_state=resource_state_from_proto(message.resource_state),
        started_at=time_from_proto(message.started_at),
        ended_at=time_from_proto(message.ended_at),
    )


def observation_to_proto(observation: Observation) -> job_state_pb2.JobObservation:
    """Convert what was seen of a job."""
    return job_state_pb2.JobObservation(
        state=state_to_proto(observation.state),
        reason=reason_to_proto(observation.reason),
        message=observation.message,
        raw_state=observation.raw_state,
        exit_code=observation.exit_code,
        attempt=observation.attempt,
        progress=progress_to_proto(observation.progress),
        resource_state=resource_state_to_proto(observation.resource_state),
        started_at=time_to_proto(observation.started_at),
        ended_at=time_to_proto(observation.ended_at),
    )


def metric_to_proto(metric: Metric) -> metric_pb2.Metric:
    """Convert a metric's value."""
    return metric_pb2.Metric(
        name=metric.name,
        step=metric.step,
        epoch=metric.epoch,
        value=metric.value,
        time=time_to_proto(metric.time),
        attempt=metric.attempt,
        not_finite=not math.isfinite(metric.value),
    )


def metric_from_proto(message: metric_pb2.Metric, *, received_at: datetime) -> Metric:
    """Convert a metric's value; `received_at` stands in for a time that is absent."""
    return Metric(
        name=message.name,
        step=message.step,
        epoch=message.epoch if math.isfinite(message.epoch) else 0.0,
        value=message.value,
        time=time_from_proto(message.time) or received_at,
        attempt=message.attempt or 1,
    )


def config_from_proto(config: training_config_pb2.TrainingConfig) -> JobConfig:
    """Convert a configuration; the document holds every field that was set.

    Raises:
        InvalidRequest: `options` holds a number that JSON has not.

    """
    try:
        document = canonical({field.name: _TO_JSON[field.name](value) for field, value in config.ListFields()})
    except (json_format.Error, ValueError) as error:
        raise InvalidRequest.of("config.options", "NaN and infinities cannot be used; leave the option out") from error
    return JobConfig(
        base_model=config.base_model,
        dataset_uri=config.dataset_path,
        algorithm=config.algorithm or DEFAULT_ALGORITHM,
        document=document,
    )


@lru_cache(MOST_CONFIGS)
def config_to_proto(config: JobConfig) -> training_config_pb2.TrainingConfig:
    """Convert a configuration back from its document; fields that this version does not know are left out.

    The message is shared by all who ask for it, and not to be changed.
    """
    message = training_config_pb2.TrainingConfig()
    for name, value in json.loads(config.document).items():
        match value:
            case _ if name not in _CONVERSIONS:
                continue
            case dict():
                getattr(message, name).update(value)
            case list():
                getattr(message, name).extend(value)
            case _:
                setattr(message, name, _CONVERSIONS[name](value))
    return message


def _conversion(field: FieldDescriptor) -> Callable[[str | float], str | float]:
    """Say how the value of a field is got from JSON, which has large integers and infinities as text."""
    if field.cpp_type in (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64):
        return int
    return float if field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE else str


def _to_json(field: FieldDescriptor) -> ToJson:
    """Say how the value of a field is put into JSON as protobuf has it, whose own way takes three times as long."""
    if field.is_repeated:
        return list
    if field.message_type is not None:
        return json_format.MessageToDict
    if field.cpp_type == FieldDescriptor.CPPTYPE_INT64:
        return str
    return _double if field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE else _as_it_is


def _double(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _as_it_is(value: str | int) -> str | int:
    return value


_TO_JSON = {field.name: _to_json(field) for field in training_config_pb2.TrainingConfig.DESCRIPTOR.fields}
_CONVERSIONS = {field.name: _conversion(field) for field in training_config_pb2.TrainingConfig.DESCRIPTOR.fields}
