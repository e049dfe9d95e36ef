"""The methods of the contract, and which of them a connector may leave out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from google.protobuf.message import Message

from peftstudio.connector.v1 import connector_service_pb2 as pb

Make = Callable[[str, str], Message]

OPTIONAL: Mapping[str, Make] = {
    "find_job": lambda connection, name: pb.FindJobRequest(connection_id=connection, submission_token=name),
    "list_jobs": lambda connection, name: pb.ListJobsRequest(connection_id=connection),
    "batch_get_job_status": lambda connection, name: pb.BatchGetJobStatusRequest(
        connection_id=connection, platform_job_ids=[name]
    ),
    "cancel_job": lambda connection, name: pb.CancelJobRequest(connection_id=connection, platform_job_id=name),
    "pause_job": lambda connection, name: pb.PauseJobRequest(connection_id=connection, platform_job_id=name),
    "resume_job": lambda connection, name: pb.ResumeJobRequest(connection_id=connection, platform_job_id=name),
    "get_metrics": lambda connection, name: pb.GetMetricsRequest(connection_id=connection, platform_job_id=name),
    "search_models": lambda connection, name: pb.SearchModelsRequest(connection_id=connection, query=name, limit=3),
    "get_model_metadata": lambda connection, name: pb.GetModelMetadataRequest(connection_id=connection, model_id=name),
    "stop_deployment": lambda connection, name: pb.StopDeploymentRequest(
        connection_id=connection, platform_deployment_id=name
    ),
    "get_endpoint_url": lambda connection, name: pb.GetEndpointUrlRequest(
        connection_id=connection, platform_deployment_id=name
    ),
    "invoke_endpoint": lambda connection, name: pb.InvokeEndpointRequest(
        connection_id=connection, platform_deployment_id=name
    ),
    "get_deployment_metrics": lambda connection, name: pb.GetDeploymentMetricsRequest(
        connection_id=connection, platform_deployment_id=name
    ),
    "update_deployment": lambda connection, name: pb.UpdateDeploymentRequest(
        connection_id=connection, platform_deployment_id=name
    ),
}
"""How each method that needs a capability, and rents nothing, is called about something of a name."""

REQUIRED: Mapping[str, Make] = {
    "verify_connection": lambda connection, name: pb.VerifyConnectionRequest(connection_id=connection),
    "get_job_status": lambda connection, name: pb.GetJobStatusRequest(connection_id=connection, platform_job_id=name),
    "stream_logs": lambda connection, name: pb.StreamLogsRequest(connection_id=connection, platform_job_id=name),
    "list_artifacts": lambda connection, name: pb.ListArtifactsRequest(connection_id=connection, platform_job_id=name),
    "fetch_artifact": lambda connection, name: pb.FetchArtifactRequest(
        connection_id=connection, platform_job_id=name, artifact_id=name
    ),
    "list_resources": lambda connection, name: pb.ListResourcesRequest(connection_id=connection),
    "get_pricing": lambda connection, name: pb.GetPricingRequest(connection_id=connection, resource_id=name),
}
"""How every connector can be called, about something of a name, without starting anything."""


def snake(method: str) -> str:
    """Spell a method as its capability is spelt."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", method).lower()
