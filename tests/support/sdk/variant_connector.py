# ruff: noqa: UP006, UP035 - written as such files are
"""A connector written against the application's own variant of the interface; it appends folders to the path first."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))

from typing import Any, AsyncIterator, Dict, List

from connectors.base import (
    JobStatus,
    PlatformConnector,
    PricingInfo,
    Resource,
    ResourceType,
    TrainingConfig,
)


class VariantConnector(PlatformConnector):
    """Runs on nothing"""

    name = "variant"
    display_name = "Variant"
    supports_tracking = True

    async def connect(self, credentials: Dict[str, str]) -> bool:
        return True

    async def disconnect(self) -> bool:
        return True

    async def verify_connection(self) -> bool:
        return True

    async def submit_job(self, config: TrainingConfig) -> str:
        return f"{config.resource_id}-{config.warmup_steps}"

    async def get_job_status(self, job_id: str) -> JobStatus:
        return JobStatus.RUNNING if job_id == "busy" else JobStatus.CANCELLED

    async def cancel_job(self, job_id: str) -> bool:
        return job_id != "busy"

    async def stream_logs(self, job_id: str) -> AsyncIterator[str]:
        yield "line"

    async def fetch_artifact(self, job_id: str) -> bytes:
        return b"bytes"

    async def upload_artifact(self, path: str, metadata: Dict[str, Any]) -> str:
        return "id"

    async def list_resources(self) -> List[Resource]:
        return [Resource(id="cpu", name="CPU", type=ResourceType.CPU, cpu_cores=8, ram_gb=32, region="eu")]

    async def get_pricing(self, resource_id: str) -> PricingInfo:
        return PricingInfo(  # type: ignore[call-arg]  # the names of the variant are accepted at run time
            resource_id=resource_id,
            price_per_hour=0.5,
            billing_increment_seconds=1,
            minimum_charge_seconds=60,
            spot_available=True,
            spot_price_per_hour=0.2,
        )

    def get_required_credentials(self) -> List[str]:
        return ["api_key"]

    def validate_config(self, config: TrainingConfig) -> List[str]:
        return ["rank is too high"] if config.rank > 64 else []

    async def deploy_model(self, model_id: str) -> str:
        return model_id
