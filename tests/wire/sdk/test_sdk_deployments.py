"""The application's verbs for inference, in the shapes in which authors write them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from connector_sdk.testing import ConnectorHarness
from connectors.base import DeploymentConfig, PlatformConnector
from peftstudio.connector.v1 import connector_service_pb2 as pb
from tests.support.sdk.required_connector import PlainConnector
from tests.support.sdk.rpc import SECONDS, Failure, failure

pytestmark = pytest.mark.wire


class ByNames(PlainConnector):
    async def deploy_model(self, model_id: str, base_model: str, name: str, replicas: int = 1, zone: str = "") -> str:
        return f"{model_id} {base_model} {name} {replicas} {zone}"


class ByConfig(PlainConnector):
    async def deploy_model(self, config: DeploymentConfig) -> dict[str, Any]:
        words = f"{config.model_id} {config.base_model} {config.name} {config.options['replicas']} eu"
        return {"id": words, "endpoint_url": "https://x"}


class WithDefaults(PlainConnector):
    async def deploy_model(
        self, model_path: str, deployment_name: str, instance_type: str = "small", **more: Any
    ) -> str:
        return f"{model_path} base {deployment_name} 0 {'eu' if instance_type == 'small' else instance_type}"


@pytest.mark.parametrize("connector", [ByNames, ByConfig, WithDefaults])
async def test_a_deployment_reaches_whatever_parameters_the_author_named(connector: type[PlatformConnector]) -> None:
    async with ConnectorHarness(connector) as harness:
        await harness.connect()
        request = pb.DeployModelRequest(connection_id="c1", deployment_id="dep-1", model="m", base_model="base")
        request.options.update({"replicas": 0, "zone": "eu"})
        made = await harness.stub.DeployModel(request, timeout=SECONDS)
    assert made.platform_deployment_id == "m base dep-1 0 eu"
    assert made.endpoint_url == ("https://x" if connector is ByConfig else "")


class Stubborn(PlainConnector):
    """Answers as nobody should."""

    async def deploy_model(self, model_id: str, secret_sauce: str) -> str:
        return secret_sauce

    async def stop_deployment(self, deployment_id: str) -> bool:
        return False

    async def invoke_endpoint(self, deployment_id: str, payload: dict[str, Any]) -> object:
        return {"nan": float("nan"), "long": "x" * 3_000_000, "bytes": b"text"}[payload["want"]]


async def test_what_cannot_be_done_or_sent_is_said() -> None:
    async with ConnectorHarness(Stubborn) as harness:
        await harness.connect()

        async def asked(want: str) -> Failure:
            request = pb.InvokeEndpointRequest(connection_id="c1", platform_deployment_id="d")
            request.input["want"] = want
            return await failure(harness.stub.InvokeEndpoint(request, timeout=SECONDS))

        request = pb.DeployModelRequest(connection_id="c1", deployment_id="dep-1", model="m")
        lacking = await failure(harness.stub.DeployModel(request, timeout=SECONDS))
        stop = pb.StopDeploymentRequest(connection_id="c1", platform_deployment_id="d")
        kept = await failure(harness.stub.StopDeployment(stop, timeout=SECONDS))
        metrics = pb.GetDeploymentMetricsRequest(connection_id="c1", platform_deployment_id="d")
        absent = await failure(harness.stub.GetDeploymentMetrics(metrics, timeout=SECONDS))
        (nan, long) = await asyncio.gather(asked("nan"), asked("long"))
        text = pb.InvokeEndpointRequest(connection_id="c1", platform_deployment_id="d")
        text.input["want"] = "bytes"
        answer = await harness.stub.InvokeEndpoint(text, timeout=SECONDS)
    assert (lacking.reason, "secret_sauce" in lacking.message) == ("UNSUPPORTED", True)
    assert (kept.reason, absent.reason) == ("WRONG_STATE", "UNSUPPORTED")
    assert (nan.reason, long.reason) == ("BAD_UPSTREAM", "BAD_UPSTREAM")
    assert answer.output.string_value == "text"
