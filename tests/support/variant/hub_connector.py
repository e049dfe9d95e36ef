# ruff: noqa: UP006, UP035 - written as such files are
"""A model hub: nothing trains there, models are looked for, put and described."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent.parent))

from typing import Any, AsyncIterator, Dict, List

import aiohttp

from connectors.base import JobStatus, PlatformConnector, PricingInfo, Resource, TrainingConfig


class HubConnector(PlatformConnector):
    name = "modelhub"
    display_name = "Model Hub"
    description = "Keeps models"
    version = "2.0.0"
    supports_training = False
    supports_registry = True

    async def connect(self, credentials: Dict[str, str]) -> bool:
        self.url = credentials["base_url"] + "/models"
        self.session = aiohttp.ClientSession(headers={"Authorization": f"Bearer {credentials['api_key']}"})
        return True

    async def disconnect(self) -> bool:
        await self.session.close()
        return True

    async def verify_connection(self) -> bool:
        async with self.session.get(self.url, params={"q": ""}) as response:
            return response.status == 200

    async def submit_job(self, config: TrainingConfig) -> str:
        raise NotImplementedError("Model Hub does not train")

    async def get_job_status(self, job_id: str) -> JobStatus:
        raise NotImplementedError("Model Hub does not train")

    async def cancel_job(self, job_id: str) -> bool:
        raise NotImplementedError("Model Hub does not train")

    async def stream_logs(self, job_id: str) -> AsyncIterator[str]:
        raise NotImplementedError("Model Hub does not train")
        yield ""

    async def fetch_artifact(self, job_id: str) -> bytes:
        raise NotImplementedError("Model Hub does not train")

    async def upload_artifact(self, path: str, metadata: Dict[str, Any]) -> str:
        name = metadata.get("repo", Path(path).stem)
        with open(path, "rb") as file:  # noqa: ASYNC230
            async with self.session.put(f"{self.url}/{name}", data=file) as response:
                response.raise_for_status()
        return f"hub://{name}"

    async def search_models(self, query: str) -> List[Dict[str, Any]]:
        async with self.session.get(self.url, params={"q": query}) as response:
            found: List[Dict[str, Any]] = await response.json()
            return found

    async def get_model_metadata(self, model_id: str) -> Dict[str, Any]:
        async with self.session.get(f"{self.url}/{model_id}") as response:
            response.raise_for_status()
            found: Dict[str, Any] = await response.json()
            return found

    async def list_resources(self) -> List[Resource]:
        return []

    async def get_pricing(self, resource_id: str) -> PricingInfo:
        raise NotImplementedError("Model Hub rents nothing")

    def get_required_credentials(self) -> List[str]:
        return ["api_key", "base_url"]
