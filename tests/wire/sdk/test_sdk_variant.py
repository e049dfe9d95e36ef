"""A connector of the application's own variant runs as it is."""

import pytest

from connector_sdk.testing import ConnectorHarness
from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.job.v1 import job_state_pb2, resource_pb2
from tests.support.sdk.rpc import SECONDS, failure, submission
from tests.support.sdk.variant_connector import VariantConnector

pytestmark = pytest.mark.wire


async def test_its_credentials_features_and_checks_are_declared() -> None:
    async with ConnectorHarness(VariantConnector) as harness:
        said = await harness.stub.Describe(pb.DescribeRequest(), timeout=SECONDS)
    assert said.credentials_schema["required"] == ["api_key"]
    assert list(said.features) == ["training", "tracking"]
    assert set(said.capabilities) == {"cancel_job", "deploy_model", "dry_run"}


async def test_its_status_resource_and_price_arrive() -> None:
    async with ConnectorHarness(VariantConnector) as harness:
        await harness.connect({"api_key": "key-1"})
        status = pb.GetJobStatusRequest(connection_id="c1", platform_job_id="1")
        seen = (await harness.stub.GetJobStatus(status, timeout=SECONDS)).observation
        (resource,) = (
            await harness.stub.ListResources(pb.ListResourcesRequest(connection_id="c1"), timeout=SECONDS)
        ).resources
        pricing = pb.GetPricingRequest(connection_id="c1", resource_id="cpu")
        price = (await harness.stub.GetPricing(pricing, timeout=SECONDS)).price
    assert seen.state == job_state_pb2.JOB_STATE_CANCELLED
    assert (resource.type, resource.cpu_cores, resource.region) == (resource_pb2.RESOURCE_TYPE_CPU, 8, "eu")
    assert (price.amount_micros, price.spot_amount_micros) == (500_000, 200_000)
    assert (price.billing_increment_seconds, price.minimum_seconds) == (1, 60)


async def test_its_validation_is_applied_before_anything_starts() -> None:
    async with ConnectorHarness(VariantConnector) as harness:
        await harness.connect({"api_key": "key-1"})
        assert (await harness.stub.SubmitJob(submission(warmup_steps=3), timeout=SECONDS)).platform_job_id == "None-3"
        failed = await failure(harness.stub.SubmitJob(submission(rank=128), timeout=SECONDS))
    assert (failed.reason, failed.message) == ("INVALID_CONFIG", "rank is too high")


async def test_a_cancel_that_the_platform_refuses_is_said() -> None:
    async with ConnectorHarness(VariantConnector) as harness:
        await harness.connect({"api_key": "key-1"})
        await harness.stub.CancelJob(pb.CancelJobRequest(connection_id="c1", platform_job_id="1"), timeout=SECONDS)
        busy = pb.CancelJobRequest(connection_id="c1", platform_job_id="busy")
        assert (await failure(harness.stub.CancelJob(busy, timeout=SECONDS))).reason == "WRONG_STATE"


async def test_its_own_credentials_check_asks_for_what_it_needs() -> None:
    async with ConnectorHarness(VariantConnector) as harness:
        call = harness.stub.Connect(pb.ConnectRequest(connection_id="c1"), timeout=SECONDS)
        assert (await failure(call)).message == "credentials.api_key: is required"
