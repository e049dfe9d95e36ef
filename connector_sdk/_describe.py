"""Say what a connector is and can do, from what its author wrote."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.duration_pb2 import Duration
from pydantic import JsonValue

from connector_sdk._identity import SDK, name_of
from connector_sdk._struct import to_struct
from connector_sdk.connector import PlatformConnector, overrides
from peftstudio.connector.v1 import connector_service_pb2 as pb

FEATURES = ("training", "inference", "registry", "tracking")

HOOKS_OF_CAPABILITY: Mapping[str, tuple[str, ...]] = {
    "cancel_job": ("cancel_job",),
    "pause_job": ("pause_job",),
    "resume_job": ("resume_job",),
    "get_metrics": ("get_metrics", "get_metrics_since"),
    "search_models": ("search_models",),
    "get_model_metadata": ("get_model_metadata",),
    "find_job": ("find_job",),
    "list_jobs": ("list_jobs",),
    "batch_get_job_status": ("batch_get_job_status",),
    "deploy_model": ("deploy_model",),
    "stop_deployment": ("stop_deployment",),
    "get_endpoint_url": ("get_endpoint_url",),
    "invoke_endpoint": ("invoke_endpoint",),
    "get_deployment_metrics": ("get_deployment_metrics",),
    "update_deployment": ("update_deployment",),
    "dry_run": ("check_config", "validate_config"),
}
"""A capability is there where the author overrides one of its hooks."""


def describe(connector: PlatformConnector) -> pb.DescribeResponse:
    """Describe the connector; needs no connection."""
    response = pb.DescribeResponse(
        name=name_of(type(connector)),
        display_name=connector.display_name or name_of(type(connector)),
        description=connector.description,
        version=connector.version,
        sdk=SDK,
        features=[feature for feature in FEATURES if getattr(connector, f"supports_{feature}")],
        capabilities=capabilities_of(connector),
        credentials_schema=to_struct(_credentials_schema(connector)),
        algorithms=connector.algorithms,
        log_source=_log_source(connector),
        submit_safety=_submit_safety(connector),
        rate_limits=_rate_limits(connector),
        documentation_url=connector.documentation_url,
    )
    if connector.options_schema is not None:
        response.options_schema.CopyFrom(to_struct(connector.options_schema))
    if connector.min_poll_interval_seconds is not None:
        interval = Duration(nanos=0)
        interval.FromMilliseconds(int(connector.min_poll_interval_seconds * 1000))
        response.min_poll_interval.CopyFrom(interval)
    return response


def capabilities_of(connector: PlatformConnector) -> list[str]:
    """Name the optional methods that are there."""
    return [
        capability
        for capability, hooks in HOOKS_OF_CAPABILITY.items()
        if any(overrides(connector, hook) for hook in hooks)
    ]


def required_credentials(connector: PlatformConnector) -> list[str]:
    """Name the credentials that `connect` cannot do without."""
    required = _credentials_schema(connector).get("required", [])
    return [str(name) for name in required] if isinstance(required, list) else []


def _credentials_schema(connector: PlatformConnector) -> Mapping[str, JsonValue]:
    if connector.credentials_schema is not None:
        return connector.credentials_schema
    names = list(connector.get_required_credentials() or [])
    properties: dict[str, JsonValue] = {name: {"type": "string", "secret": True} for name in names}
    schema: dict[str, JsonValue] = {"type": "object", "properties": properties}
    return {**schema, "required": [*names], "additionalProperties": {"type": "string"}}


def _log_source(connector: PlatformConnector) -> pb.LogSource.ValueType:
    if overrides(connector, "stream_logs_from"):
        return pb.LOG_SOURCE_CURSOR
    return pb.LogSource.Value(f"LOG_SOURCE_{(connector.log_source or 'replay').upper()}")


def _submit_safety(connector: PlatformConnector) -> pb.SubmitSafety.ValueType:
    word = connector.submit_safety or ("findable" if overrides(connector, "find_job") else "none")
    return pb.SubmitSafety.Value(f"SUBMIT_SAFETY_{word.upper()}")


def _rate_limits(connector: PlatformConnector) -> pb.RateLimits:
    limits = connector.rate_limits
    return pb.RateLimits(
        requests_per_minute=limits.get("requests_per_minute", 0), concurrent_jobs=limits.get("concurrent_jobs", 0)
    )
