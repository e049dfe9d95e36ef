"""Every verb of the contract, through the harness."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import inf, isnan, nan
from typing import Any, ClassVar

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest

from connector_sdk import FieldViolation, MetricPoint, ModelInfo, SubmitRequest
from connector_sdk.testing import ConnectorHarness
from connectors.base import JobObservation, JobStatus, ListedJob, PricingInfo, Resource, ResourceType, TrainingConfig
from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.job.v1 import job_state_pb2, resource_pb2
from tests.support.sdk.required_connector import PlainConnector
from tests.support.sdk.rpc import SECONDS, config, failure, submission

pytestmark = pytest.mark.wire


class RichConnector(PlainConnector):
    """Has every optional method."""

    description = "Rich"
    supports_registry = True
    algorithms = ("lora", "dora")
    rate_limits: ClassVar = {"requests_per_minute": 60, "concurrent_jobs": 5}
    documentation_url = "https://docs.example.com"
    min_poll_interval_seconds = 0.5
    options_schema: ClassVar = {"type": "object", "properties": {"image": {"type": "string"}}}

    def get_required_credentials(self) -> list[str]:
        return ["api_key"]

    async def submit(self, request: SubmitRequest) -> str:
        options = sorted(request.config.options.items())
        return f"{request.submission_token}|{request.resource_id}|{request.labels}|{options}"

    async def find_job(self, submission_token: str) -> str | None:
        return "found" if submission_token == "known" else None

    async def list_jobs(self, cursor: str) -> tuple[list[ListedJob], str]:
        if cursor == "endless":
            return [ListedJob(job_id=str(number), submission_token="t", status="running") for number in range(1001)], ""
        made = datetime(2026, 1, 2, tzinfo=UTC)
        price = PricingInfo(hourly_rate=1.5)
        job = ListedJob(
            job_id="m-1", submission_token="t-1", status="running", created_at=made, resource_id="a", price=price
        )
        return ([], "next") if not cursor else ([job], "")

    async def check_config(self, config: TrainingConfig) -> list[FieldViolation]:
        return [FieldViolation(field="rank", description="too high")] if config.rank > 64 else []

    async def get_job_status(self, job_id: str) -> JobObservation:
        return JobObservation(
            status=JobStatus.FAILED,
            reason="OUT_OF_MEMORY",
            exit_code=137,
            attempt=2,
            message="oom",
            raw_state="ERRORED",
            ended_at=datetime(2026, 1, 2, tzinfo=UTC),
        )

    async def batch_get_job_status(self, job_ids: list[str]) -> Mapping[str, str]:
        return {job_id: "running" for job_id in job_ids if job_id != "gone"}

    async def cancel_job(self, job_id: str) -> bool:
        return False

    async def pause_job(self, job_id: str) -> None:
        return None

    async def resume_job(self, job_id: str) -> bool:
        return False

    async def get_metrics_since(self, job_id: str, cursor: str) -> tuple[list[MetricPoint], str]:
        return [MetricPoint(name="loss", value=nan, step=3), MetricPoint(name="loss", value=inf, step=4)], "7"

    async def search_models(self, query: str, limit: int = 10) -> Sequence[Mapping[str, object]]:
        return [{"modelId": f"{query}/{index}", "downloads": 5, "pipeline": "text"} for index in range(limit)]

    async def get_model_metadata(self, model_id: str) -> ModelInfo:
        return ModelInfo(id=model_id, tags=["t"], metadata={"created": datetime(2026, 1, 1)})

    async def get_pricing(self, resource_id: str) -> PricingInfo:
        return PricingInfo(hourly_rate=0.1 + 0.2, currency="EUR", spot_price_per_hour=0.1, source="catalog")


async def test_describe_says_what_the_author_wrote() -> None:
    async with ConnectorHarness(RichConnector) as harness:
        said = await harness.stub.Describe(pb.DescribeRequest(), timeout=SECONDS)
    assert (said.name, said.display_name, said.version, said.description) == ("plain", "Plain", "1.2.3", "Rich")
    assert list(said.features) == ["training", "registry"]
    assert set(said.capabilities) == {
        "cancel_job",
        "pause_job",
        "resume_job",
        "get_metrics",
        "search_models",
        "get_model_metadata",
        "find_job",
        "list_jobs",
        "batch_get_job_status",
        "dry_run",
    }
    assert said.submit_safety == pb.SUBMIT_SAFETY_FINDABLE
    assert (said.rate_limits.requests_per_minute, said.rate_limits.concurrent_jobs) == (60, 5)
    assert said.min_poll_interval.ToTimedelta().total_seconds() == 0.5
    assert said.credentials_schema["required"] == ["api_key"]
    assert said.credentials_schema["properties"]["api_key"]["secret"] is True  # type: ignore[index]
    assert said.options_schema["properties"] == {"image": {"type": "string"}}


async def test_a_list_of_jobs_comes_in_pages_with_tokens_prices_and_times() -> None:
    async with ConnectorHarness(RichConnector) as harness:
        await harness.connect({"api_key": "key-1"})
        first = await harness.stub.ListJobs(pb.ListJobsRequest(connection_id="c1"), timeout=SECONDS)
        assert (list(first.jobs), first.next_cursor) == ([], "next")
        rest = await harness.stub.ListJobs(pb.ListJobsRequest(connection_id="c1", cursor="next"), timeout=SECONDS)
        (job,) = rest.jobs
        with pytest.raises(grpc.aio.AioRpcError, match="1000 jobs"):
            await harness.stub.ListJobs(pb.ListJobsRequest(connection_id="c1", cursor="endless"), timeout=SECONDS)
    assert (job.platform_job_id, job.submission_token, job.resource_id) == ("m-1", "t-1", "a")
    assert (job.observation.state, job.price.amount_micros) == (job_state_pb2.JOB_STATE_RUNNING, 1_500_000)
    assert job.created_at.ToDatetime(UTC) == datetime(2026, 1, 2, tzinfo=UTC)
    assert rest.next_cursor == ""


async def test_a_connector_of_the_guide_alone_declares_no_capability() -> None:
    async with ConnectorHarness(PlainConnector) as harness:
        said = await harness.stub.Describe(pb.DescribeRequest(), timeout=SECONDS)
    assert not said.capabilities
    assert said.log_source == pb.LOG_SOURCE_REPLAY
    assert said.submit_safety == pb.SUBMIT_SAFETY_NONE
    assert not said.HasField("min_poll_interval")


async def test_an_author_sees_token_resource_labels_and_options() -> None:
    async with ConnectorHarness(RichConnector) as harness:
        await harness.connect({"api_key": "key-1"})
        request = submission()
        request.resource_id = "gpu-1"
        request.labels["team"] = "a"
        request.config.options.update({"image": "x:1", "disk": 50, "ratio": 0.5, "deep": {"n": [1, None, True]}})
        answer = await harness.stub.SubmitJob(request, timeout=SECONDS)
    options = [("deep", {"n": [1, None, True]}), ("disk", 50), ("image", "x:1"), ("ratio", 0.5)]
    assert answer.platform_job_id == f"token-1|gpu-1|{{'team': 'a'}}|{options}"


async def test_fields_left_out_get_their_defaults_and_set_ones_arrive() -> None:
    seen: list[TrainingConfig] = []

    class Recording(PlainConnector):
        async def submit_job(self, config: TrainingConfig) -> str:
            seen.append(config)
            return "1"

    async with ConnectorHarness(Recording) as harness:
        await harness.connect()
        await harness.stub.SubmitJob(submission(), timeout=SECONDS)
        await harness.stub.SubmitJob(submission(dropout=0.0, rank=1, quantization="nf4"), timeout=SECONDS)
    assert seen[0] == TrainingConfig(base_model="m", dataset_path="d")
    assert seen[1] == TrainingConfig(base_model="m", dataset_path="d", rank=1, quantization="nf4")


async def test_a_bad_configuration_is_refused_with_all_violations_at_once() -> None:
    async with ConnectorHarness(PlainConnector) as harness:
        await harness.connect()
        failed = await failure(
            harness.stub.SubmitJob(submission(rank=0, dropout=1.5, base_model="", quantization="int3"), timeout=SECONDS)
        )
    fields = {violation.field for violation in failed.get(BadRequest).field_violations}
    assert failed.reason == "INVALID_CONFIG"
    assert fields == {"config.rank", "config.dropout", "config.base_model", "config.quantization"}


async def test_a_dry_run_checks_and_starts_nothing() -> None:
    async with ConnectorHarness(RichConnector) as harness:
        await harness.connect({"api_key": "key-1"})
        request = submission()
        request.dry_run = True
        assert (await harness.stub.SubmitJob(request, timeout=SECONDS)).platform_job_id == ""
        request.config.CopyFrom(config(rank=128, algorithm="pissa"))
        failed = await failure(harness.stub.SubmitJob(request, timeout=SECONDS))
    assert failed.message == "config.algorithm: 'pissa' is not one of lora, dora; rank: too high"


async def test_a_job_is_found_by_its_token_or_not() -> None:
    async with ConnectorHarness(RichConnector) as harness:
        await harness.connect({"api_key": "key-1"})
        known = pb.FindJobRequest(connection_id="c1", submission_token="known")
        other = pb.FindJobRequest(connection_id="c1", submission_token="other")
        assert (await harness.stub.FindJob(known, timeout=SECONDS)).platform_job_id == "found"
        assert (await harness.stub.FindJob(other, timeout=SECONDS)).platform_job_id == ""


async def test_a_rich_observation_arrives_in_full() -> None:
    async with ConnectorHarness(RichConnector) as harness:
        await harness.connect({"api_key": "key-1"})
        request = pb.GetJobStatusRequest(connection_id="c1", platform_job_id="1")
        seen = (await harness.stub.GetJobStatus(request, timeout=SECONDS)).observation
    assert seen.state == job_state_pb2.JOB_STATE_FAILED
    assert seen.reason == job_state_pb2.JOB_REASON_OUT_OF_MEMORY
    assert (seen.exit_code, seen.attempt, seen.message, seen.raw_state) == (137, 2, "oom", "ERRORED")
    assert seen.resource_state == job_state_pb2.RESOURCE_STATE_RELEASED
    assert seen.ended_at.ToDatetime() == datetime(2026, 1, 2)
    assert not seen.HasField("started_at")


async def test_many_jobs_are_looked_at_at_once() -> None:
    async with ConnectorHarness(RichConnector) as harness:
        await harness.connect({"api_key": "key-1"})
        request = pb.BatchGetJobStatusRequest(connection_id="c1", platform_job_ids=["a", "gone", "b"])
        seen = (await harness.stub.BatchGetJobStatus(request, timeout=SECONDS)).observations
    assert {job_id: one.state for job_id, one in seen.items()} == {
        "a": job_state_pb2.JOB_STATE_RUNNING,
        "b": job_state_pb2.JOB_STATE_RUNNING,
    }


async def test_cancelling_an_ended_job_is_no_error_even_if_the_author_says_false() -> None:
    async with ConnectorHarness(RichConnector) as harness:
        await harness.connect({"api_key": "key-1"})
        await harness.stub.CancelJob(pb.CancelJobRequest(connection_id="c1", platform_job_id="1"), timeout=SECONDS)
        await harness.stub.PauseJob(pb.PauseJobRequest(connection_id="c1", platform_job_id="1"), timeout=SECONDS)
        request = pb.ResumeJobRequest(connection_id="c1", platform_job_id="1")
        assert (await failure(harness.stub.ResumeJob(request, timeout=SECONDS))).reason == "WRONG_STATE"


async def test_a_method_that_is_not_there_names_its_capability() -> None:
    async with ConnectorHarness(PlainConnector) as harness:
        await harness.connect()
        request = pb.PauseJobRequest(connection_id="c1", platform_job_id="1")
        failed = await failure(harness.stub.PauseJob(request, timeout=SECONDS))
    assert failed.reason == "UNSUPPORTED"
    assert failed.info.metadata["capability"] == "pause_job"


async def test_metrics_keep_nan_and_infinity_and_their_cursor() -> None:
    async with ConnectorHarness(RichConnector) as harness:
        await harness.connect({"api_key": "key-1"})
        request = pb.GetMetricsRequest(connection_id="c1", platform_job_id="1")
        answer = await harness.stub.GetMetrics(request, timeout=SECONDS)
    assert isnan(answer.metrics[0].value)
    assert answer.metrics[1].value == inf
    assert answer.cursor == "7"


async def test_more_metrics_than_an_answer_holds_come_in_pages() -> None:
    class Long(PlainConnector):
        async def get_metrics(self, job_id: str) -> list[MetricPoint]:
            return [MetricPoint(name="loss", value=step, step=step) for step in range(10_005)]

    async with ConnectorHarness(Long) as harness:
        await harness.connect()
        request = pb.GetMetricsRequest(connection_id="c1", platform_job_id="1")
        first = await harness.stub.GetMetrics(request, timeout=SECONDS)
        request.cursor = first.cursor
        second = await harness.stub.GetMetrics(request, timeout=SECONDS)
    assert (len(first.metrics), len(second.metrics), second.metrics[0].step) == (10_000, 5, 10_000)


async def test_models_are_found_and_described_as_dicts_or_models() -> None:
    async with ConnectorHarness(RichConnector) as harness:
        await harness.connect({"api_key": "key-1"})
        search = pb.SearchModelsRequest(connection_id="c1", query="llama", limit=3)
        models = (await harness.stub.SearchModels(search, timeout=SECONDS)).models
        detail = pb.GetModelMetadataRequest(connection_id="c1", model_id="org/m")
        model = (await harness.stub.GetModelMetadata(detail, timeout=SECONDS)).model
    assert [model.id for model in models] == ["llama/0", "llama/1", "llama/2"]
    assert (models[0].downloads, models[0].metadata["pipeline"]) == (5, "text")
    assert (model.id, model.metadata["created"]) == ("org/m", "2026-01-01 00:00:00")


async def test_prices_travel_in_millionths_and_no_price_is_said_in_words() -> None:
    class Free(PlainConnector):
        async def get_pricing(self, resource_id: str) -> PricingInfo:
            return PricingInfo(hourly_rate=None)

    request = pb.GetPricingRequest(connection_id="c1", resource_id="gpu-1")
    async with ConnectorHarness(RichConnector) as harness:
        await harness.connect({"api_key": "key-1"})
        price = (await harness.stub.GetPricing(request, timeout=SECONDS)).price
    async with ConnectorHarness(Free) as harness:
        await harness.connect()
        free = (await harness.stub.GetPricing(request, timeout=SECONDS)).price
    assert (price.resource_id, price.amount_micros, price.currency) == ("gpu-1", 300_000, "EUR")
    assert (price.spot_amount_micros, price.source) == (100_000, resource_pb2.PRICE_SOURCE_CATALOG)
    assert not price.not_priced
    assert free.not_priced


async def test_odd_values_of_resources_arrive_or_blame_the_platform() -> None:
    class Odd(PlainConnector):
        answer: ClassVar[list[Any]] = []

        async def list_resources(self) -> list[Resource]:
            return self.answer

    request = pb.ListResourcesRequest(connection_id="c1")
    async with ConnectorHarness(Odd) as harness:
        await harness.connect()
        Odd.answer = [Resource(id="ü\ud800", name="", type=ResourceType.TPU, vram_gb=nan), {"id": "d", "name": "D"}]
        first, second = (await harness.stub.ListResources(request, timeout=SECONDS)).resources
        Odd.answer = [Resource(id="a", name="A", gpu_count=2**40)]
        too_big = await failure(harness.stub.ListResources(request, timeout=SECONDS))
        Odd.answer = ["a"]
        no_resource = await failure(harness.stub.ListResources(request, timeout=SECONDS))
    assert (first.id, first.type, second.id) == ("ü?", resource_pb2.RESOURCE_TYPE_TPU, "d")
    assert too_big.reason == no_resource.reason == "BAD_UPSTREAM"


async def test_shutdown_asks_for_an_end_within_its_grace() -> None:
    async with ConnectorHarness(PlainConnector) as harness:
        request = pb.ShutdownRequest()
        request.grace.FromSeconds(3)
        await harness.stub.Shutdown(request, timeout=SECONDS)
        assert harness.shutdowns == [3.0]
