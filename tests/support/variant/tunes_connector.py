# ruff: noqa: UP006, UP035 - written as such files are
"""A fine-tuning service: it trains by itself, and tells its phase in its own words."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent.parent))

from typing import Any, AsyncIterator, Dict, List

import aiohttp

from connectors.base import JobStatus, PlatformConnector, PricingInfo, Resource, TrainingConfig

PHASES = {"queued": JobStatus.PENDING, "training": JobStatus.RUNNING, "done": JobStatus.COMPLETED}


class TunesConnector(PlatformConnector):
    name = "tunes"
    display_name = "Tunes"
    description = "Fine-tunes as a service"
    version = "0.3.1"
    supports_training = True
    supports_inference = True

    async def connect(self, credentials: Dict[str, str]) -> bool:
        self.url = credentials["base_url"] + "/fine-tunes"
        self.session = aiohttp.ClientSession(headers={"Authorization": f"Bearer {credentials['api_key']}"})
        return True

    async def disconnect(self) -> bool:
        await self.session.close()
        return True

    async def verify_connection(self) -> bool:
        return not self.session.closed

    def validate_config(self, config: TrainingConfig) -> bool:
        if config.validation_split > 0.5:
            raise ValueError("validation_split may be 0.5 at most")
        return True

    async def submit_job(self, config: TrainingConfig) -> str:
        wish = config.model_dump(exclude_none=True)
        async with self.session.post(self.url, json=wish) as response:
            response.raise_for_status()
            return str((await response.json())["data"]["id"])

    async def get_job_status(self, job_id: str) -> JobStatus:
        async with self.session.get(f"{self.url}/{job_id}") as response:
            response.raise_for_status()
            return PHASES[(await response.json())["data"]["phase"]]

    async def cancel_job(self, job_id: str) -> bool:
        return False

    async def stream_logs(self, job_id: str) -> AsyncIterator[str]:
        async with self.session.get(f"{self.url}/{job_id}/events") as response:
            for event in (await response.json())["events"]:
                yield event["message"]

    async def fetch_artifact(self, job_id: str) -> bytes:
        async with self.session.get(f"{self.url}/{job_id}/weights") as response:
            return await response.read()

    async def upload_artifact(self, path: str, metadata: Dict[str, Any]) -> str:
        raise NotImplementedError("Tunes keeps its own models")

    async def list_resources(self) -> List[Resource]:
        return []

    async def get_pricing(self, resource_id: str) -> PricingInfo:
        raise ValueError("Tunes charges by the token")

    def get_required_credentials(self) -> List[str]:
        return ["api_key", "base_url"]
