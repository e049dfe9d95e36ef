"""`DeploymentsService`: models behind endpoints."""

from __future__ import annotations

from google.protobuf import json_format, struct_pb2

from gateway.api import requests
from gateway.api.requests import MAX_REQUEST_ID_CHARS
from gateway.deployments.model import Deployment, DeploymentState, DeploymentWish
from gateway.deployments.service import Deployments
from gateway.errors import InvalidRequest
from gateway.paging import PageRequest
from gateway.wire.enums import EnumPair
from gateway.wire.struct import json_from_struct, struct_from_json
from gateway.wire.time import time_to_proto
from peftstudio.gateway.v1 import deployments_service_pb2 as pb
from peftstudio.gateway.v1 import deployments_service_pb2_grpc as pb_grpc

MAX_INPUT_BYTES = 1024 * 1024
"""Text for a model, and a picture; more than that is a file."""

_STATES = EnumPair(DeploymentState, pb.DeploymentState, "DEPLOYMENT_STATE_")


class DeploymentsServicer(pb_grpc.DeploymentsServiceServicer):
    """Answer calls about deployments."""

    def __init__(self, deployments: Deployments) -> None:
        self._deployments = deployments

    async def CreateDeployment(
        self, request: pb.CreateDeploymentRequest, context: object
    ) -> pb.CreateDeploymentResponse:
        made, is_replayed = await self._deployments.create(_wish(request))
        return pb.CreateDeploymentResponse(deployment=deployment_to_proto(made), replayed=is_replayed)

    async def GetDeployment(self, request: pb.GetDeploymentRequest, context: object) -> pb.GetDeploymentResponse:
        requests.require(deployment_id=request.deployment_id)
        found = await self._deployments.get(request.deployment_id)
        return pb.GetDeploymentResponse(deployment=deployment_to_proto(found))

    async def ListDeployments(self, request: pb.ListDeploymentsRequest, context: object) -> pb.ListDeploymentsResponse:
        question = f"{request.connection_id}:{request.include_ended}"
        page = PageRequest.parse(request.page_size, request.page_token, question)
        found, token = await self._deployments.page(page, request.connection_id, with_ended=request.include_ended)
        return pb.ListDeploymentsResponse(deployments=map(deployment_to_proto, found), next_page_token=token)

    async def UpdateDeployment(
        self, request: pb.UpdateDeploymentRequest, context: object
    ) -> pb.UpdateDeploymentResponse:
        requests.require(deployment_id=request.deployment_id)
        changed = await self._deployments.update(request.deployment_id, _json(request.changes, "changes"))
        return pb.UpdateDeploymentResponse(deployment=deployment_to_proto(changed))

    async def StopDeployment(self, request: pb.StopDeploymentRequest, context: object) -> pb.StopDeploymentResponse:
        requests.require(deployment_id=request.deployment_id)
        stopped = await self._deployments.stop(request.deployment_id)
        return pb.StopDeploymentResponse(deployment=deployment_to_proto(stopped))

    async def InvokeDeployment(
        self, request: pb.InvokeDeploymentRequest, context: object
    ) -> pb.InvokeDeploymentResponse:
        requests.require(deployment_id=request.deployment_id)
        answer = await self._deployments.invoke(request.deployment_id, _json(request.input, "input"))
        return pb.InvokeDeploymentResponse(output=json_format.Parse(answer, struct_pb2.Value()))

    async def GetDeploymentMetrics(
        self, request: pb.GetDeploymentMetricsRequest, context: object
    ) -> pb.GetDeploymentMetricsResponse:
        requests.require(deployment_id=request.deployment_id)
        measured = await self._deployments.metrics(request.deployment_id)
        return pb.GetDeploymentMetricsResponse(metrics=struct_from_json(measured))


def deployment_to_proto(deployment: Deployment) -> pb.Deployment:
    """Convert a deployment."""
    return pb.Deployment(
        id=deployment.id,
        connection_id=deployment.connection_id,
        connector_id=deployment.connector_id,
        model=deployment.model,
        base_model=deployment.base_model,
        resource_id=deployment.resource_id,
        options=struct_from_json(deployment.options),
        state=_STATES.to_proto(deployment.state),
        message=deployment.message,
        platform_deployment_id=deployment.platform_id,
        endpoint_url=deployment.endpoint_url,
        created_at=time_to_proto(deployment.created_at),
        updated_at=time_to_proto(deployment.updated_at),
        stopped_at=time_to_proto(deployment.stopped_at),
    )


def _wish(request: pb.CreateDeploymentRequest) -> DeploymentWish:
    requests.require(connection_id=request.connection_id, model=request.model)
    if len(request.request_id) > MAX_REQUEST_ID_CHARS:
        raise InvalidRequest.of("request_id", f"is longer than {MAX_REQUEST_ID_CHARS} characters")
    return DeploymentWish(
        request_id=request.request_id,
        connection_id=request.connection_id,
        model=request.model,
        base_model=request.base_model,
        resource_id=request.resource_id,
        options=_json(request.options, "options"),
    )


def _json(given: struct_pb2.Struct, field: str) -> str:
    if (size := given.ByteSize()) > MAX_INPUT_BYTES:
        raise InvalidRequest.of(field, f"has {size} bytes, more than {MAX_INPUT_BYTES}")
    try:
        return json_from_struct(given)
    except ValueError as error:
        raise InvalidRequest.of(field, f"is no JSON: {error}") from error
