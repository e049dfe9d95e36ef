from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import Parse, ParseDict
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from gateway.artifacts.model import Artifact, ArtifactKind, ArtifactState
from gateway.catalog.model import Price, PriceSource, PriceUnit, Resource, ResourceType
from gateway.errors import ChecksumMismatch, InvalidRequest
from gateway.jobs.model import JobConfig, JobReason, JobState, Metric, Observation, Progress, ResourceState
from gateway.plugins.model import LogSource, SubmitSafety
from gateway.wire import artifacts, catalog, jobs
from gateway.wire.description import description_from_proto
from gateway.wire.struct import json_from_struct, struct_from_json
from gateway.wire.time import duration_from_proto, duration_to_proto, time_from_proto, time_to_proto
from peftstudio.connector.v1.connector_service_pb2 import DescribeResponse
from peftstudio.job.v1 import model_pb2
from peftstudio.job.v1.job_state_pb2 import JobObservation
from peftstudio.job.v1.resource_pb2 import Price as PriceMessage
from peftstudio.job.v1.training_config_pb2 import TrainingConfig

pytestmark = pytest.mark.unit

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
UNKNOWN = 999


def words(*enums: type[StrEnum]) -> list[StrEnum]:
    return [word for enum in enums for word in enum]


@pytest.mark.parametrize("word", words(JobState, JobReason, ResourceState))
def test_every_word_about_jobs_survives_the_wire(word: StrEnum) -> None:
    match word:
        case JobState():
            assert jobs.state_from_proto(jobs.state_to_proto(word)) is word
        case JobReason():
            assert jobs.reason_from_proto(jobs.reason_to_proto(word)) is word
        case ResourceState():
            assert jobs.resource_state_from_proto(jobs.resource_state_to_proto(word)) is word


@pytest.mark.parametrize("kind", list(ArtifactKind))
def test_every_kind_of_file_survives_the_wire(kind: ArtifactKind) -> None:
    artifact = Artifact(id="a", path="x/y", kind=kind, size=0, sha256="ab", etag="e")
    assert artifacts.artifact_from_proto(artifacts.artifact_to_proto(artifact)) == artifact


def test_what_only_the_gateway_says_of_a_file_is_not_taken_from_a_connector() -> None:
    message = artifacts.artifact_to_proto(Artifact(id="a", path="x", state=ArtifactState.VERIFIED, unsafe=True))
    found = artifacts.artifact_from_proto(message)
    assert (found.state, found.unsafe, found.size) == (ArtifactState.REMOTE, False, None)


def test_a_state_of_a_newer_peer_is_no_state_and_no_error() -> None:
    message = JobObservation(raw_state="hibernating")
    message.MergeFromString(bytes([0x08, 0xE7, 0x07, 0x10, 0xE7, 0x07, 0x40, 0xE7, 0x07]))
    found = jobs.observation_from_proto(message)
    assert (found.state, found.reason, found.resource_state) == (None, JobReason.UNSPECIFIED, ResourceState.UNSPECIFIED)
    assert found.raw_state == "hibernating"


def test_other_numbers_of_a_newer_peer_are_no_error_either() -> None:
    assert artifacts.kind_from_proto(UNKNOWN) is ArtifactKind.UNSPECIFIED
    assert catalog.resource_type_from_proto(UNKNOWN) is ResourceType.UNSPECIFIED
    price = catalog.price_from_proto(PriceMessage(unit=UNKNOWN, source=UNKNOWN), received_at=NOW)  # type: ignore[arg-type]
    assert (price.unit, price.source) == (PriceUnit.HOUR, PriceSource.UNSPECIFIED)
    description = description_from_proto(DescribeResponse(log_source=UNKNOWN, submit_safety=UNKNOWN))  # type: ignore[arg-type]
    assert (description.log_source, description.submit_safety) == (LogSource.REPLAY, SubmitSafety.NONE)


def test_an_observation_survives_the_wire() -> None:
    progress = Progress(percentage=50, step=5, total_steps=10, estimated_remaining_seconds=0.0)
    seen = Observation(
        state=JobState.RUNNING,
        exit_code=0,
        attempt=2,
        progress=progress,
        started_at=NOW,
        resource_state=ResourceState.HELD,
    )
    assert jobs.observation_from_proto(jobs.observation_to_proto(seen)) == seen


def test_what_is_absent_stays_absent() -> None:
    seen = jobs.observation_from_proto(JobObservation())
    assert seen == Observation(state=None)


def test_metrics_resources_and_prices_survive_the_wire() -> None:
    metric = Metric(name="loss", value=1.5, step=3, epoch=0.5, time=NOW, attempt=2)
    resource = Resource(id="r", name="R", type=ResourceType.GPU, gpu_type="L4", gpu_count=2, vram_gb=24, region="eu")
    price = Price(resource_id="r", not_priced=False, amount_micros=7, spot_amount_micros=0, as_of=NOW)
    assert jobs.metric_from_proto(jobs.metric_to_proto(metric), received_at=NOW) == metric
    assert catalog.resource_from_proto(catalog.resource_to_proto(resource)) == resource
    assert catalog.price_from_proto(catalog.price_to_proto(price), received_at=NOW) == price


def test_a_model_is_kept_as_it_came_unless_its_metadata_is_no_json() -> None:
    model = model_pb2.Model(id="m", tags=("a", "b"))
    model.metadata.update({"n": [1.5, {"deep": None}]})
    assert model_pb2.Model.FromString(catalog.model_from_proto(model)) == model
    model.metadata.fields["n"].list_value.values.add().number_value = math.nan
    with pytest.raises(ValueError, match="JSON"):
        catalog.model_from_proto(model)


def test_equal_configurations_have_equal_documents() -> None:
    first = TrainingConfig(base_model="m", dataset_path="d", rank=0)
    second = TrainingConfig.FromString(TrainingConfig(rank=0, dataset_path="d", base_model="m").SerializeToString())
    first.options.update({"b": 1, "a": 2})
    second.options.update({"a": 2, "b": 1})
    assert jobs.config_from_proto(first) == jobs.config_from_proto(second)


def test_a_configuration_survives_its_document() -> None:
    config = TrainingConfig(base_model="m", dataset_path="d", learning_rate=2e-4, seed=2**60, target_modules=["q", "v"])
    stored = jobs.config_from_proto(config)
    assert (stored.base_model, stored.dataset_uri, stored.algorithm) == ("m", "d", "lora")
    assert jobs.config_to_proto(stored) == config


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "base_model": st.text(),
            "target_modules": st.lists(st.text(), max_size=3),
            "rank": st.integers(-(2**31), 2**31 - 1),
            "seed": st.integers(-(2**63), 2**63 - 1),
            "alpha": st.floats(allow_nan=False),
            "quantization": st.text(),
        },
    ),
    st.none() | st.dictionaries(st.text(max_size=5), json_values, max_size=3),
)
def test_whatever_a_configuration_has_comes_back_from_its_document(
    fields: dict[str, object], options: dict[str, str] | None
) -> None:
    config = ParseDict({name: value for name, value in fields.items() if name != "alpha"}, TrainingConfig())
    if isinstance(alpha := fields.get("alpha"), float):
        config.alpha = alpha
    if options is not None:
        config.options.update(options)
    stored = jobs.config_from_proto(config)
    assert jobs.config_to_proto(stored) == config
    # Whoever reads the document by the rules of protobuf gets the same.
    assert Parse(stored.document, TrainingConfig()) == config


def test_every_field_of_a_configuration_can_be_had_back() -> None:
    descriptor = TrainingConfig.DESCRIPTOR
    config = TrainingConfig(target_modules=["q_proj"])
    config.options["depth"] = 2
    for field in descriptor.fields:
        if field.name not in ("target_modules", "options"):
            setattr(config, field.name, "7" if field.cpp_type == field.CPPTYPE_STRING else 7)
    assert jobs.config_to_proto(jobs.config_from_proto(config)) == config
    assert len(config.ListFields()) == len(descriptor.fields)


def test_a_field_of_a_newer_gateway_is_left_out() -> None:
    config = JobConfig(
        base_model="m", dataset_uri="d", algorithm="lora", document='{"base_model":"m","optimizer":"adam","more":{}}'
    )
    assert jobs.config_to_proto(config) == TrainingConfig(base_model="m")


def test_options_that_json_cannot_hold_are_refused_by_name() -> None:
    config = TrainingConfig(base_model="m")
    config.options.update({"x": float("nan")})
    with pytest.raises(InvalidRequest, match=r"config\.options"):
        jobs.config_from_proto(config)


@given(st.datetimes(datetime(1970, 1, 2), datetime(9999, 1, 1), timezones=st.just(UTC)))
def test_times_survive_the_wire(time: datetime) -> None:
    assert time_from_proto(time_to_proto(time) or Timestamp()) == time


@given(st.timedeltas(timedelta(days=-3650), timedelta(days=3650)).filter(bool))
def test_durations_survive_the_wire(duration: timedelta) -> None:
    message = duration_to_proto(duration)
    assert message is not None
    assert message.ToTimedelta() == duration
    assert duration_from_proto(message) == duration


def test_times_that_no_calendar_has_are_absent() -> None:
    assert time_from_proto(Timestamp()) is None
    assert time_from_proto(Timestamp(seconds=2**62)) is None
    assert duration_from_proto(Duration(seconds=2**62)) is None


def test_whole_numbers_of_a_schema_stay_whole() -> None:
    struct = Struct()
    struct.update({"minimum": 1, "items": [{"maximum": 2.5}], "on": True})
    text = json_from_struct(struct)
    assert text == '{"items":[{"maximum":2.5}],"minimum":1,"on":true}'
    assert struct_from_json(text) == struct


def test_damaged_bytes_are_noticed() -> None:
    chunk = artifacts.chunk_to_proto(5, b"abc")
    assert artifacts.data_from_chunk(chunk) == b"abc"
    chunk.data = b"abd"
    with pytest.raises(ChecksumMismatch, match="offset 5"):
        artifacts.data_from_chunk(chunk)
