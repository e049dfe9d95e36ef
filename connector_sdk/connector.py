"""What an author writes: a subclass of `PlatformConnector`, with the methods of the connector guide.

Everything below the guide's methods is optional, and derived from them where a subclass does not say more.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import JsonValue

from connector_sdk._violations import violations_of
from connector_sdk.errors import InvalidConfigError, UnsupportedError
from connector_sdk.models import (
    ArtifactInfo,
    FieldViolation,
    JobObservation,
    JobStatus,
    ListedJob,
    LogRecord,
    MetricPoint,
    ModelInfo,
    PricingInfo,
    Resource,
    SubmitRequest,
    TrainingConfig,
)

REQUIRED_METHODS = (
    "connect",
    "disconnect",
    "submit_job",
    "get_job_status",
    "stream_logs",
    "fetch_artifact",
    "upload_artifact",
    "list_resources",
    "get_pricing",
)
"""What the guide wants every connector to have."""

SubmitSafety = Literal["keyed", "findable", "none"]
LogSource = Literal["replay", "tail_only"]
Metrics = Mapping[str, object] | Sequence[Mapping[str, object]] | Sequence[MetricPoint]
Model = ModelInfo | Mapping[str, object]


class PlatformConnector:
    """Integrate one platform. The process makes one object per connection, so `self` holds one account's state."""

    name: ClassVar[str] = ""
    """Name in identifiers: lower-case letters, digits, `-` and `_`."""
    display_name: ClassVar[str] = ""
    description: ClassVar[str] = ""
    version: ClassVar[str] = "0.0.0"

    supports_training: ClassVar[bool] = True
    supports_inference: ClassVar[bool] = False
    supports_registry: ClassVar[bool] = False
    supports_tracking: ClassVar[bool] = False

    credentials_schema: ClassVar[Mapping[str, JsonValue] | None] = None
    """JSON Schema of the credentials; None = made from `get_required_credentials()`."""
    options_schema: ClassVar[Mapping[str, JsonValue] | None] = None
    """JSON Schema of `TrainingConfig.options`; None = not told."""
    algorithms: ClassVar[Sequence[str]] = ()
    """Names that `TrainingConfig.algorithm` may have; empty = not told."""
    submit_safety: ClassVar[SubmitSafety | None] = None
    """`keyed` where the platform starts at most one job per token; None = from whether `find_job` is there."""
    log_source: ClassVar[LogSource | None] = None
    """`tail_only` where `stream_logs` gives only what comes while it is read; None = it begins at the first line."""
    rate_limits: ClassVar[Mapping[str, int]] = {}
    """`requests_per_minute` and `concurrent_jobs`, as in the guide's configuration file."""
    documentation_url: ClassVar[str] = ""
    min_poll_interval_seconds: ClassVar[float | None] = None
    """Shortest time between two looks at a running job; None = the gateway's default."""

    work_dir: Path = Path()
    """A private folder that stays from start to start; set before `connect`."""
    account: str = ""
    """Whose account it is; `connect` may set it. Never a secret."""

    # The guide's required methods.

    async def connect(self, credentials: dict[str, str]) -> bool:
        """Check the credentials with the platform and keep them; return False or raise where they do not hold."""
        raise NotImplementedError("connect")

    async def disconnect(self) -> bool | None:
        """Forget the credentials and close what is open. May be called more than once."""
        raise NotImplementedError("disconnect")

    async def submit_job(self, config: TrainingConfig) -> str:
        """Start a job and return the platform's id of it.

        After a refusal (4xx, 429, a connection that is refused, ValueError) nothing is taken to have been started, and
        the job may be submitted again. Where something was made before the refusal came, undo it or raise
        `PlatformUnavailableError`, which leaves it open.
        """
        raise NotImplementedError("submit_job")

    async def get_job_status(self, job_id: str) -> str | JobStatus | JobObservation:
        """Look at a job. A plain word is enough; a `JobObservation` says more."""
        raise NotImplementedError("get_job_status")

    def stream_logs(self, job_id: str) -> AsyncIterator[str]:
        """Yield the log from its first line until the job ends."""
        raise NotImplementedError("stream_logs")

    def fetch_artifact(self, job_id: str) -> Awaitable[bytes | AsyncIterator[bytes]] | AsyncIterator[bytes]:
        """Give the bytes of the trained adapter, at once or piece by piece."""
        raise NotImplementedError("fetch_artifact")

    async def upload_artifact(self, path: str, metadata: dict[str, JsonValue]) -> str:
        """Put the file at `path` into the platform's registry and return its id or URL."""
        raise NotImplementedError("upload_artifact")

    async def list_resources(self) -> list[Resource]:
        """List the machines that can be rented or used."""
        raise NotImplementedError("list_resources")

    async def get_pricing(self, resource_id: str) -> PricingInfo:
        """Say what a machine costs."""
        raise NotImplementedError("get_pricing")

    # The guide's optional methods. Overriding one declares its capability.

    async def cancel_job(self, job_id: str) -> bool | None:
        """End a job. False = the platform did not obey."""
        raise UnsupportedError("cancel_job")

    async def pause_job(self, job_id: str) -> bool | None:
        """Pause a job behind a checkpoint. False = the platform did not obey."""
        raise UnsupportedError("pause_job")

    async def resume_job(self, job_id: str) -> bool | None:
        """Continue a paused job. False = the platform did not obey."""
        raise UnsupportedError("resume_job")

    async def get_metrics(self, job_id: str) -> Metrics:
        """Give all metrics of a job so far."""
        raise UnsupportedError("get_metrics")

    async def search_models(self, query: str) -> Sequence[Model]:
        """Search the platform's model registry, best first. A parameter `limit` is passed where there is one."""
        raise UnsupportedError("search_models")

    async def get_model_metadata(self, model_id: str) -> Model:
        """Give all that the registry tells about a model."""
        raise UnsupportedError("get_model_metadata")

    # Hooks of the application's own variant of the interface.

    async def verify_connection(self) -> bool:
        """Ask the platform whether the credentials still hold. Without it, a second object connects and disconnects."""
        raise UnsupportedError("verify_connection")

    def get_required_credentials(self) -> list[str]:
        """Name the credentials that `connect` needs."""
        return []

    def validate_config(self, config: TrainingConfig) -> object:
        """Check a configuration: return False or what is wrong (words, or a list of them), or raise ValueError."""
        return True

    # The application's verbs for inference. Overriding one declares its capability.

    async def deploy_model(self, *args: Any, **kwargs: Any) -> str | Mapping[str, object]:
        """Put a model behind an endpoint; return the platform's id of it, or a mapping with `id` and `endpoint_url`.

        Parameters are filled by their names: `model_id`, `base_model`, `name`, `resource_id`, `options`, `config` (a
        `DeploymentConfig` of all these), and any name that a deployment's options have.
        """
        raise UnsupportedError("deploy_model")

    async def stop_deployment(self, deployment_id: str) -> bool | None:
        """End a deployment. False = the platform did not obey."""
        raise UnsupportedError("stop_deployment")

    async def get_endpoint_url(self, deployment_id: str) -> str | None:
        """Say where a deployment is reached; None = nowhere yet."""
        raise UnsupportedError("get_endpoint_url")

    async def invoke_endpoint(self, deployment_id: str, payload: dict[str, Any]) -> object:
        """Ask the deployed model, and return its answer: anything that JSON can tell."""
        raise UnsupportedError("invoke_endpoint")

    async def get_deployment_metrics(self, deployment_id: str) -> Mapping[str, object]:
        """Give what the platform measures of a deployment."""
        raise UnsupportedError("get_deployment_metrics")

    async def update_deployment(self, deployment_id: str, changes: dict[str, Any]) -> bool | None:
        """Change a deployment's options. False = the platform did not obey."""
        raise UnsupportedError("update_deployment")

    # Hooks for connectors that can do more than the guide asks.

    async def submit(self, request: SubmitRequest) -> str:
        """Start a job, knowing its token, resource and labels, and return the platform's id of it."""
        violations = await self.check_config(request.config)
        if violations:
            raise InvalidConfigError(violations)
        return await self.submit_job(request.config)

    async def find_job(self, submission_token: str) -> str | None:
        """Find the job that was submitted under a token; None = there is none."""
        raise UnsupportedError("find_job")

    async def list_jobs(self, cursor: str) -> tuple[list[ListedJob], str]:
        """List jobs that carry a submission token and have not ended, at most 1000, and the cursor behind them.

        An empty cursor asks for the first page, and says that there are no more.
        """
        raise UnsupportedError("list_jobs")

    async def check_config(self, config: TrainingConfig) -> list[FieldViolation]:
        """Check all that can be checked without starting anything, and name everything that is wrong at once."""
        try:
            verdict = self.validate_config(config)
            return violations_of(await verdict if inspect.isawaitable(verdict) else verdict)
        except ValueError as error:
            return violations_of(error)

    async def batch_get_job_status(self, job_ids: list[str]) -> Mapping[str, str | JobStatus | JobObservation]:
        """Look at many jobs at once; jobs that the platform does not know are left out."""
        raise UnsupportedError("batch_get_job_status")

    def stream_logs_from(self, job_id: str, cursor: str) -> AsyncIterator[LogRecord]:
        """Yield the log from behind `cursor` (empty = its start) until the job ends; each record has its cursor."""
        raise UnsupportedError("stream_logs_from")

    async def get_metrics_since(self, job_id: str, cursor: str) -> tuple[list[MetricPoint], str]:
        """Give the metrics behind `cursor` (empty = all, at most 10,000), and the cursor behind these."""
        raise UnsupportedError("get_metrics_since")

    async def list_artifacts(self, job_id: str) -> list[ArtifactInfo]:
        """List the files that a job left, in a stable order."""
        raise UnsupportedError("list_artifacts")

    def open_artifact(self, job_id: str, artifact_id: str, offset: int) -> AsyncIterator[bytes]:
        """Yield the bytes of one file from `offset` on, in pieces of any size."""
        raise UnsupportedError("open_artifact")


def overrides(connector: PlatformConnector, method: str) -> bool:
    """Tell whether the author wrote `method`."""
    return getattr(type(connector), method) is not getattr(PlatformConnector, method)
