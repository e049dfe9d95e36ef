"""A connector whose platform is a few attributes: for tests of what the SDK does around it."""

from collections.abc import AsyncIterator
from typing import Any

from connectors.base import JobObservation, JobStatus, PlatformConnector, PricingInfo, Resource, TrainingConfig


class PlainConnector(PlatformConnector):
    """Has the guide's required methods and nothing else."""

    name = "plain"
    display_name = "Plain"
    version = "1.2.3"

    async def connect(self, credentials: dict[str, str]) -> bool:
        self.credentials = credentials
        return credentials.get("api_key") != "wrong"

    async def disconnect(self) -> None:
        self.credentials = {}

    async def submit_job(self, config: TrainingConfig) -> str:
        return f"job-of-{config.base_model}"

    async def get_job_status(self, job_id: str) -> str | JobStatus | JobObservation:
        return "completed"

    async def stream_logs(self, job_id: str) -> AsyncIterator[str]:
        for line in ("first", "second"):
            yield line

    async def fetch_artifact(self, job_id: str) -> bytes | AsyncIterator[bytes]:
        return b"weights"

    async def upload_artifact(self, path: str, metadata: dict[str, Any]) -> str:
        return path

    async def list_resources(self) -> list[Resource]:
        return [Resource(id="a", name="A")]

    async def get_pricing(self, resource_id: str) -> PricingInfo:
        return PricingInfo(hourly_rate=1.5)
