"""The module that connectors written to the guide, or to the application's own variant, import from."""

from connector_sdk.connector import PlatformConnector
from connector_sdk.errors import ConnectorError, InsufficientCreditsError, RateLimitError
from connector_sdk.models import (
    ArtifactInfo,
    DeploymentConfig,
    JobObservation,
    JobStatus,
    ListedJob,
    LogRecord,
    MetricPoint,
    ModelInfo,
    PricingInfo,
    Resource,
    ResourceType,
    SubmitRequest,
    TrainingConfig,
)

__all__ = [
    "ArtifactInfo",
    "ConnectorError",
    "DeploymentConfig",
    "InsufficientCreditsError",
    "JobObservation",
    "JobStatus",
    "ListedJob",
    "LogRecord",
    "MetricPoint",
    "ModelInfo",
    "PlatformConnector",
    "PricingInfo",
    "RateLimitError",
    "Resource",
    "ResourceType",
    "SubmitRequest",
    "TrainingConfig",
]
