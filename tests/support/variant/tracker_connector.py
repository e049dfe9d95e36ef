# ruff: noqa: UP006, UP035 - written as such files are
"""An experiment tracker: it follows runs that are made elsewhere, and knows their numbers."""

import os
import sys

sys.path.append(os.path.join(os.path.dirname(__file__), "..", ".."))

from typing import Any, AsyncIterator, Dict, List

import aiohttp

from connectors.base import JobStatus, PlatformConnector, PricingInfo, Resource, TrainingConfig


class TrackerConnector(PlatformConnector):
    name = "tracker"
    display_name = "Tracker"
    description = "Follows experiments"
    version = "1.0.0"
    supports_training = False
    supports_tracking = True

    async def connect(self, credentials: Dict[str, str]) -> bool:
        self.url = credentials["base_url"]
        self.session = aiohttp.ClientSession(headers={"Authorization": f"Bearer {credentials['api_key']}"})
        async with self.session.get(f"{self.url}/me") as response:
            if response.status != 200:
                await self.session.close()
                raise ConnectionError("Tracker does not know this key")
            self.account = (await response.json())["user"]
        return True

    async def disconnect(self) -> bool:
        await self.session.close()
        return True

    async def verify_connection(self) -> bool:
        async with self.session.get(f"{self.url}/me") as response:
            return response.status == 200

    async def submit_job(self, config: TrainingConfig) -> str:
        return f"{config.project_name or 'default'}-{config.experiment_tracker or 'run'}"

    async def get_job_status(self, job_id: str) -> JobStatus:
        return JobStatus.COMPLETED

    async def cancel_job(self, job_id: str) -> bool:
        return True

    async def stream_logs(self, job_id: str) -> AsyncIterator[str]:
        yield f"run {job_id}"

    async def get_metrics(self, job_id: str) -> List[Dict[str, float]]:
        async with self.session.get(f"{self.url}/runs/{job_id}/history") as response:
            rows: List[Dict[str, float]] = await response.json()
        return [{"step": row["_step"], "loss": row["loss"]} for row in rows]

    async def fetch_artifact(self, job_id: str) -> bytes:
        return job_id.encode()

    async def upload_artifact(self, path: str, metadata: Dict[str, Any]) -> str:
        return os.path.basename(path)

    async def list_resources(self) -> List[Resource]:
        return []

    async def get_pricing(self, resource_id: str) -> PricingInfo:
        return PricingInfo(resource_id=resource_id, price_per_hour=0.0)  # type: ignore[call-arg]

    def get_required_credentials(self) -> List[str]:
        return ["api_key", "base_url"]
