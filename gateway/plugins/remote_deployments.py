"""Speaks to a connector's process about deployments."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from google.protobuf import json_format

from gateway.deployments.model import Deployment
from gateway.errors import Reason, RemoteError
from gateway.plugins.calls import SUBMIT_LIMIT, Caller
from gateway.priority import Priority
from gateway.wire.struct import json_from_struct, struct_from_json
from peftstudio.connector.v1 import connector_service_pb2 as pb

INVOKE_LIMIT = timedelta(seconds=100)
"""For an answer of a model, which may have to be loaded first; below the limit of clients."""


class RemoteDeployments:
    """The one implementation of `gateway.deployments.model.DeploymentVerbs`."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._connection_id = caller.connection_id

    async def require(self, *capabilities: str) -> None:
        """Raise `Unsupported` where the connector does not offer one of these."""
        for capability in capabilities:
            await self._caller.client(capability)

    async def deploy(self, deployment: Deployment) -> tuple[str, str]:
        """Deploy a model; never sent again when its answer is lost."""
        request = pb.DeployModelRequest(
            connection_id=self._connection_id,
            deployment_id=deployment.id,
            model=deployment.model,
            base_model=deployment.base_model,
            resource_id=deployment.resource_id,
            options=struct_from_json(deployment.options),
        )
        answer = await self._caller.ask(
            lambda stub: stub.DeployModel,
            request,
            limit=SUBMIT_LIMIT,
            capability="deploy_model",
            is_repeatable=False,
            priority=Priority.SUBMIT,
        )
        if not answer.platform_deployment_id:
            raise RemoteError("the connector gave no id for what it deployed", reason=Reason.BAD_UPSTREAM)
        return answer.platform_deployment_id, answer.endpoint_url

    async def stop(self, platform_id: str) -> None:
        """Ask for a deployment's end."""
        request = pb.StopDeploymentRequest(connection_id=self._connection_id, platform_deployment_id=platform_id)
        await self._caller.ask(
            lambda stub: stub.StopDeployment, request, capability="stop_deployment", priority=Priority.CANCEL
        )

    async def endpoint(self, platform_id: str) -> str:
        """Say where a deployment is reached; empty = nowhere yet."""
        request = pb.GetEndpointUrlRequest(connection_id=self._connection_id, platform_deployment_id=platform_id)
        return (
            await self._caller.ask(lambda stub: stub.GetEndpointUrl, request, capability="get_endpoint_url")
        ).endpoint_url

    async def invoke(self, platform_id: str, question: str) -> str:
        """Ask a deployed model; not sent again, as answers are paid for."""
        request = pb.InvokeEndpointRequest(
            connection_id=self._connection_id, platform_deployment_id=platform_id, input=struct_from_json(question)
        )
        answer = await self._caller.ask(
            lambda stub: stub.InvokeEndpoint,
            request,
            limit=INVOKE_LIMIT,
            capability="invoke_endpoint",
            is_repeatable=False,
        )
        return _json(lambda: json_format.MessageToJson(answer.output, indent=None))

    async def metrics(self, platform_id: str) -> str:
        """Return what the platform measures, as JSON."""
        request = pb.GetDeploymentMetricsRequest(connection_id=self._connection_id, platform_deployment_id=platform_id)
        answer = await self._caller.ask(
            lambda stub: stub.GetDeploymentMetrics, request, capability="get_deployment_metrics"
        )
        return _json(lambda: json_from_struct(answer.metrics))

    async def update(self, platform_id: str, changes: str) -> None:
        """Change options, which are JSON."""
        request = pb.UpdateDeploymentRequest(
            connection_id=self._connection_id, platform_deployment_id=platform_id, changes=struct_from_json(changes)
        )
        await self._caller.ask(
            lambda stub: stub.UpdateDeployment,
            request,
            capability="update_deployment",
            limit=SUBMIT_LIMIT,
            is_repeatable=False,
        )


def _json(write: Callable[[], str]) -> str:
    try:
        return write()
    except (ValueError, json_format.Error) as error:
        raise RemoteError(f"the connector's answer is no JSON: {error}", reason=Reason.BAD_UPSTREAM) from error
