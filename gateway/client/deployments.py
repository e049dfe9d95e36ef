"""What can be done with deployments."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Mapping
from datetime import timedelta

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct

from gateway.client.pages import PAGE_SIZE, walk
from gateway.client.patience import Patience
from gateway.client.resume import retrying
from gateway.client.rpc import SLOW_UNARY_SECONDS, Rpc
from peftstudio.gateway.v1 import deployments_service_pb2 as pb

CREATE_GIVE_UP_AFTER = timedelta(minutes=2)
"""How long a call is repeated that did not reach the gateway: a person is waiting."""


class Deployments:
    """Models behind endpoints."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    async def create(
        self,
        connection: str,
        model: str,
        *,
        base_model: str = "",
        resource_id: str = "",
        options: Mapping[str, object] | None = None,
        request_id: str | None = None,
        give_up_after: timedelta = CREATE_GIVE_UP_AFTER,
    ) -> pb.Deployment:
        """Deploy a model and return the deployment: ACTIVE, FAILED, or IN_DOUBT where the platform's answer was lost.

        The call is repeated after a cut, under one request id: there will be one deployment, however often it was
        sent. Pass a `request_id` of your own to be able to repeat the call in another process.
        """
        request = pb.CreateDeploymentRequest(
            request_id=request_id if request_id is not None else str(uuid.uuid4()),
            connection_id=connection,
            model=model,
            base_model=base_model,
            resource_id=resource_id,
            options=_struct(options),
        )
        stub = self._rpc.stubs.deployments
        patience = Patience(self._rpc.now, give_up_after=give_up_after)
        call = lambda: self._rpc.unary(stub.CreateDeployment, request, SLOW_UNARY_SECONDS)  # noqa: E731
        return (await retrying(self._rpc, patience, call)).deployment

    async def get(self, deployment_id: str) -> pb.Deployment:
        """Get one deployment, with its endpoint where there is one."""
        request = pb.GetDeploymentRequest(deployment_id=deployment_id)
        return (await self._rpc.unary(self._rpc.stubs.deployments.GetDeployment, request)).deployment

    def list(self, connection: str = "", *, include_ended: bool = False) -> AsyncGenerator[pb.Deployment, None]:
        """Yield deployments, oldest first."""

        async def page(token: str) -> pb.ListDeploymentsResponse:
            request = pb.ListDeploymentsRequest(
                connection_id=connection, include_ended=include_ended, page_size=PAGE_SIZE, page_token=token
            )
            return await self._rpc.unary(self._rpc.stubs.deployments.ListDeployments, request)

        return walk(page, lambda answer: answer.deployments)

    async def update(self, deployment_id: str, changes: Mapping[str, object]) -> pb.Deployment:
        """Change options; those that are left out stay."""
        request = pb.UpdateDeploymentRequest(deployment_id=deployment_id, changes=_struct(changes))
        stub = self._rpc.stubs.deployments
        return (await self._rpc.unary(stub.UpdateDeployment, request, SLOW_UNARY_SECONDS)).deployment

    async def stop(self, deployment_id: str) -> pb.Deployment:
        """Stop a deployment; one that is STOPPING in the answer is stopped as soon as its platform obeys."""
        request = pb.StopDeploymentRequest(deployment_id=deployment_id)
        stub = self._rpc.stubs.deployments
        return (await self._rpc.unary(stub.StopDeployment, request, SLOW_UNARY_SECONDS)).deployment

    async def invoke(self, deployment_id: str, question: Mapping[str, object]) -> object:
        """Ask a deployed model and return its answer, as JSON has it."""
        request = pb.InvokeDeploymentRequest(deployment_id=deployment_id, input=_struct(question))
        stub = self._rpc.stubs.deployments
        answer: object = MessageToDict(
            (await self._rpc.unary(stub.InvokeDeployment, request, SLOW_UNARY_SECONDS)).output
        )
        return answer

    async def metrics(self, deployment_id: str) -> Mapping[str, object]:
        """Get what the platform measures."""
        request = pb.GetDeploymentMetricsRequest(deployment_id=deployment_id)
        stub = self._rpc.stubs.deployments
        answer = await self._rpc.unary(stub.GetDeploymentMetrics, request, SLOW_UNARY_SECONDS)
        return dict(MessageToDict(answer.metrics))


def _struct(given: Mapping[str, object] | None) -> Struct:
    return ParseDict(dict(given or {}), Struct())
