"""A connector written as the guide says, against a real HTTP and WebSocket server."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from connector_sdk.testing import ConnectorHarness
from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.job.v1 import artifact_pb2, job_state_pb2
from tests.support.sdk.acme_connector import AcmeConnector
from tests.support.sdk.acme_platform import ADAPTER, API_KEY, AcmePlatform
from tests.support.sdk.rpc import SECONDS, failure, submission

pytestmark = pytest.mark.wire

JOB: dict[str, Any] = {"connection_id": "c1", "platform_job_id": "acme-1"}


@pytest.fixture
async def platform() -> AsyncIterator[AcmePlatform]:
    async with AcmePlatform().running() as running:
        yield running


def _harness(platform: AcmePlatform) -> ConnectorHarness:
    def make() -> AcmeConnector:
        connector = AcmeConnector()
        connector.base_url = platform.url
        return connector

    return ConnectorHarness(make)


async def test_every_verb_of_the_guide_works(platform: AcmePlatform) -> None:
    async with _harness(platform) as harness:
        stub = harness.stub
        await harness.connect({"api_key": API_KEY})
        assert (await stub.SubmitJob(submission(rank=4), timeout=SECONDS)).platform_job_id == "acme-1"
        seen = (await stub.GetJobStatus(pb.GetJobStatusRequest(**JOB), timeout=SECONDS)).observation
        logs = [message async for message in stub.StreamLogs(pb.StreamLogsRequest(**JOB), timeout=SECONDS)]
        (artifact,) = (await stub.ListArtifacts(pb.ListArtifactsRequest(**JOB), timeout=SECONDS)).artifacts
        fetch = pb.FetchArtifactRequest(artifact_id=artifact.id, **JOB)
        adapter = b"".join([m.chunk.data async for m in stub.FetchArtifact(fetch, timeout=SECONDS)])
        resources = await stub.ListResources(pb.ListResourcesRequest(connection_id="c1"), timeout=SECONDS)
        pricing = pb.GetPricingRequest(connection_id="c1", resource_id="a100")
        price = (await stub.GetPricing(pricing, timeout=SECONDS)).price
        await stub.Disconnect(pb.DisconnectRequest(connection_id="c1"), timeout=SECONDS)
    assert platform.jobs == [{"model": "m", "rank": 4, "alpha": 16}]
    assert seen.state == job_state_pb2.JOB_STATE_SUCCEEDED
    assert [line.text for message in logs for line in message.lines] == ["epoch 1", "epoch 2", "saved"]
    assert logs[-1].end
    assert (artifact.path, adapter) == ("adapter.zip", ADAPTER)
    assert (resources.resources[0].vram_gb, price.amount_micros) == (80, 1_890_000)


async def test_an_upload_reaches_the_platform(platform: AcmePlatform) -> None:
    content = b"weights"
    header = pb.UploadHeader(connection_id="c1", name="a.safetensors", size=len(content))
    header.sha256 = hashlib.sha256(content).hexdigest()
    parts = [
        pb.UploadArtifactRequest(header=header),
        pb.UploadArtifactRequest(chunk=artifact_pb2.Chunk(data=content)),
    ]
    async with _harness(platform) as harness:
        await harness.connect({"api_key": API_KEY})
        answer = await harness.stub.UploadArtifact(iter(parts), timeout=SECONDS)
    assert (answer.artifact_id, platform.uploads) == ("artifact-1", [content])


async def test_a_log_socket_that_drops_while_the_job_runs_is_a_cut_and_not_an_end(platform: AcmePlatform) -> None:
    platform.status = "running"
    async with _harness(platform) as harness:
        await harness.connect({"api_key": API_KEY})
        request = pb.StreamLogsRequest(**JOB)
        messages = [message async for message in harness.stub.StreamLogs(request, timeout=SECONDS)]
    assert not any(message.end for message in messages)


@pytest.mark.parametrize(
    ("status", "reason"), [(429, "RATE_LIMITED"), (402, "INSUFFICIENT_CREDITS"), (500, "CONNECTOR_BUG")]
)
async def test_an_error_that_the_guides_pattern_wraps_keeps_its_meaning(
    platform: AcmePlatform, status: int, reason: str
) -> None:
    platform.submit_status = status
    async with _harness(platform) as harness:
        await harness.connect({"api_key": API_KEY})
        assert (await failure(harness.stub.SubmitJob(submission(), timeout=SECONDS))).reason == reason


async def test_a_platform_that_went_away_is_unavailable() -> None:
    async with AcmePlatform().running() as gone, _harness(gone) as harness:
        await harness.connect({"api_key": API_KEY})
    async with _harness(gone) as harness:
        request = pb.ConnectRequest(connection_id="c1", credentials={"api_key": API_KEY})
        failed = await failure(harness.stub.Connect(request, timeout=SECONDS))
    assert failed.reason == "PLATFORM_UNAVAILABLE"
    assert API_KEY not in failed.message


async def test_a_missing_key_is_the_users_mistake(platform: AcmePlatform) -> None:
    async with _harness(platform) as harness:
        call = harness.stub.Connect(pb.ConnectRequest(connection_id="c1"), timeout=SECONDS)
        assert (await failure(call)).reason == "INVALID_CONFIG"
