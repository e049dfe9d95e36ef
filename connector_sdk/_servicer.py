# ruff: noqa: N802 - the contract names the methods
"""Answer the calls of the gateway: read the request, ask the author's object, write the answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import cast

from connector_sdk import _catalog, _deployments, _jobs
from connector_sdk._artifacts import list_artifacts, send_artifact
from connector_sdk._config import read_submit
from connector_sdk._connections import Connections
from connector_sdk._log_stream import LogStreams
from connector_sdk._metrics import metrics_since
from connector_sdk._outbound import outbound
from connector_sdk._struct import to_struct
from connector_sdk._text import clean
from connector_sdk._upload import receive_upload
from connector_sdk.connector import PlatformConnector
from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.connector.v1.connector_service_pb2_grpc import ConnectorServiceServicer

Shutdown = Callable[[float], None]


class ConnectorServicer(ConnectorServiceServicer):
    """Serve one connector class for any number of connections."""

    def __init__(
        self,
        description: pb.DescribeResponse,
        connections: Connections,
        logs: LogStreams,
        work_dir: Path,
        shut_down: Shutdown,
    ) -> None:
        """Answer from `connections`; `shut_down(grace_seconds)` is to end the process."""
        self._description = description
        self._connections = connections
        self._logs = logs
        self._work_dir = work_dir
        self._shut_down = shut_down

    async def Describe(self, request: pb.DescribeRequest, context: object) -> pb.DescribeResponse:
        return self._description

    async def Connect(self, request: pb.ConnectRequest, context: object) -> pb.ConnectResponse:
        account = await self._connections.open(request.connection_id, dict(request.credentials))
        return pb.ConnectResponse(account=account)

    async def Disconnect(self, request: pb.DisconnectRequest, context: object) -> pb.DisconnectResponse:
        await self._connections.close(request.connection_id)
        return pb.DisconnectResponse()

    async def VerifyConnection(
        self, request: pb.VerifyConnectionRequest, context: object
    ) -> pb.VerifyConnectionResponse:
        return pb.VerifyConnectionResponse(account=await self._connections.verify(request.connection_id))

    async def SubmitJob(self, request: pb.SubmitJobRequest, context: object) -> pb.SubmitJobResponse:
        connector = self._connector(request.connection_id)
        return pb.SubmitJobResponse(
            platform_job_id=await _jobs.submit(connector, read_submit(request), request.dry_run)
        )

    async def FindJob(self, request: pb.FindJobRequest, context: object) -> pb.FindJobResponse:
        found = await self._connector(request.connection_id).find_job(request.submission_token)
        return pb.FindJobResponse(platform_job_id=found or "")

    async def ListJobs(self, request: pb.ListJobsRequest, context: object) -> pb.ListJobsResponse:
        connector = self._connector(request.connection_id)
        return await _jobs.list_jobs(connector, request.cursor, self._connections.redact)

    async def GetJobStatus(self, request: pb.GetJobStatusRequest, context: object) -> pb.GetJobStatusResponse:
        connector = self._connector(request.connection_id)
        observation = await _jobs.look(connector, request.platform_job_id, self._connections.redact)
        return pb.GetJobStatusResponse(observation=observation)

    async def BatchGetJobStatus(
        self, request: pb.BatchGetJobStatusRequest, context: object
    ) -> pb.BatchGetJobStatusResponse:
        connector = self._connector(request.connection_id)
        seen = await _jobs.look_at_many(connector, request.platform_job_ids, self._connections.redact)
        return pb.BatchGetJobStatusResponse(observations=seen)

    async def CancelJob(self, request: pb.CancelJobRequest, context: object) -> pb.CancelJobResponse:
        await _jobs.cancel(self._connector(request.connection_id), request.platform_job_id)
        return pb.CancelJobResponse()

    async def PauseJob(self, request: pb.PauseJobRequest, context: object) -> pb.PauseJobResponse:
        await _jobs.pause(self._connector(request.connection_id), request.platform_job_id)
        return pb.PauseJobResponse()

    async def ResumeJob(self, request: pb.ResumeJobRequest, context: object) -> pb.ResumeJobResponse:
        await _jobs.resume(self._connector(request.connection_id), request.platform_job_id)
        return pb.ResumeJobResponse()

    def StreamLogs(self, request: pb.StreamLogsRequest, context: object) -> AsyncGenerator[pb.StreamLogsResponse, None]:
        connector = self._connector(request.connection_id)
        messages = self._logs.stream(connector, request.platform_job_id, request.cursor)
        return cast("AsyncGenerator[pb.StreamLogsResponse, None]", messages)

    async def GetMetrics(self, request: pb.GetMetricsRequest, context: object) -> pb.GetMetricsResponse:
        connector = self._connector(request.connection_id)
        metrics, cursor = await metrics_since(connector, request.platform_job_id, request.cursor)
        return pb.GetMetricsResponse(metrics=metrics, cursor=cursor)

    async def ListArtifacts(self, request: pb.ListArtifactsRequest, context: object) -> pb.ListArtifactsResponse:
        connection = self._connections.get(request.connection_id)
        return pb.ListArtifactsResponse(artifacts=await list_artifacts(connection, request.platform_job_id))

    def FetchArtifact(
        self, request: pb.FetchArtifactRequest, context: object
    ) -> AsyncGenerator[pb.FetchArtifactResponse, None]:
        messages = send_artifact(self._connections.get(request.connection_id), request)
        return cast("AsyncGenerator[pb.FetchArtifactResponse, None]", messages)

    async def UploadArtifact(
        self, request_iterator: AsyncIterator[pb.UploadArtifactRequest], context: object
    ) -> pb.UploadArtifactResponse:
        return pb.UploadArtifactResponse(
            artifact_id=await receive_upload(request_iterator, self._connections, self._work_dir)
        )

    async def ListResources(self, request: pb.ListResourcesRequest, context: object) -> pb.ListResourcesResponse:
        listed = await self._connector(request.connection_id).list_resources()
        with outbound("resource"):
            return pb.ListResourcesResponse(resources=[_catalog.to_resource(resource) for resource in listed])

    async def GetPricing(self, request: pb.GetPricingRequest, context: object) -> pb.GetPricingResponse:
        price = await self._connector(request.connection_id).get_pricing(request.resource_id)
        with outbound("price"):
            return pb.GetPricingResponse(price=_catalog.to_price(price, request.resource_id))

    async def SearchModels(self, request: pb.SearchModelsRequest, context: object) -> pb.SearchModelsResponse:
        models = await _catalog.search(self._connector(request.connection_id), request.query, request.limit)
        with outbound("model"):
            return pb.SearchModelsResponse(models=[_catalog.to_model(model) for model in models])

    async def GetModelMetadata(
        self, request: pb.GetModelMetadataRequest, context: object
    ) -> pb.GetModelMetadataResponse:
        model = await self._connector(request.connection_id).get_model_metadata(request.model_id)
        with outbound("model"):
            return pb.GetModelMetadataResponse(model=_catalog.to_model(model))

    async def DeployModel(self, request: pb.DeployModelRequest, context: object) -> pb.DeployModelResponse:
        return await _deployments.deploy(self._connector(request.connection_id), request)

    async def StopDeployment(self, request: pb.StopDeploymentRequest, context: object) -> pb.StopDeploymentResponse:
        await _deployments.stop(self._connector(request.connection_id), request.platform_deployment_id)
        return pb.StopDeploymentResponse()

    async def GetEndpointUrl(self, request: pb.GetEndpointUrlRequest, context: object) -> pb.GetEndpointUrlResponse:
        url = await self._connector(request.connection_id).get_endpoint_url(request.platform_deployment_id)
        return pb.GetEndpointUrlResponse(endpoint_url=clean(url or ""))

    async def InvokeEndpoint(self, request: pb.InvokeEndpointRequest, context: object) -> pb.InvokeEndpointResponse:
        return await _deployments.invoke(self._connector(request.connection_id), request)

    async def GetDeploymentMetrics(
        self, request: pb.GetDeploymentMetricsRequest, context: object
    ) -> pb.GetDeploymentMetricsResponse:
        connector = self._connector(request.connection_id)
        measured = await connector.get_deployment_metrics(request.platform_deployment_id)
        with outbound("metrics"):
            return pb.GetDeploymentMetricsResponse(metrics=to_struct(measured or {}))

    async def UpdateDeployment(
        self, request: pb.UpdateDeploymentRequest, context: object
    ) -> pb.UpdateDeploymentResponse:
        await _deployments.update(self._connector(request.connection_id), request)
        return pb.UpdateDeploymentResponse()

    async def Shutdown(self, request: pb.ShutdownRequest, context: object) -> pb.ShutdownResponse:
        self._shut_down(request.grace.ToTimedelta().total_seconds())
        return pb.ShutdownResponse()

    def _connector(self, connection_id: str) -> PlatformConnector:
        return self._connections.get(connection_id).connector
