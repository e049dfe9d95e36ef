# ruff: noqa: UP006, UP035, UP045 - written as such files are
"""A deployment platform: models behind endpoints."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent.parent))

from typing import Any, AsyncIterator, Dict, List, Optional

import aiohttp

from connectors.base import JobStatus, PlatformConnector, PricingInfo, Resource, TrainingConfig


class EndpointsConnector(PlatformConnector):
    name = "endpoints"
    display_name = "Endpoints"
    description = "Serves models"
    version = "1.2.0"
    supports_training = False
    supports_inference = True

    async def connect(self, credentials: Dict[str, str]) -> bool:
        self.url = credentials["base_url"] + "/endpoints"
        self.session = aiohttp.ClientSession(headers={"Authorization": f"Bearer {credentials['api_key']}"})
        return True

    async def disconnect(self) -> bool:
        await self.session.close()
        return True

    async def verify_connection(self) -> bool:
        return True

    async def deploy_model(self, model_path: str, deployment_name: str, replicas: int = 1) -> str:
        wish = {"name": deployment_name, "model": model_path, "replicas": replicas}
        async with self.session.post(self.url, json=wish) as response:
            response.raise_for_status()
            return str((await response.json())["endpoint"])

    async def stop_deployment(self, deployment_id: str) -> bool:
        async with self.session.delete(f"{self.url}/{deployment_id}") as response:
            response.raise_for_status()
            return True

    async def get_endpoint_url(self, deployment_id: str) -> Optional[str]:
        async with self.session.get(f"{self.url}/{deployment_id}") as response:
            response.raise_for_status()
        return f"{self.url}/{deployment_id}/predict"

    async def invoke_endpoint(self, deployment_id: str, payload: Dict[str, Any]) -> Dict[str, Any]:
        async with self.session.post(f"{self.url}/{deployment_id}/predict", json=payload) as response:
            response.raise_for_status()
            answer: Dict[str, Any] = await response.json()
            return answer

    async def get_deployment_metrics(self, deployment_id: str) -> Dict[str, Any]:
        async with self.session.get(f"{self.url}/{deployment_id}") as response:
            response.raise_for_status()
            return {"replicas": (await response.json())["replicas"], "p50_ms": 12.5}

    async def update_deployment(self, deployment_id: str, changes: Dict[str, Any]) -> bool:
        async with self.session.patch(f"{self.url}/{deployment_id}", json=changes) as response:
            return response.status == 200

    async def submit_job(self, config: TrainingConfig) -> str:
        raise NotImplementedError("Endpoints does not train")

    async def get_job_status(self, job_id: str) -> JobStatus:
        raise NotImplementedError("Endpoints does not train")

    async def cancel_job(self, job_id: str) -> bool:
        raise NotImplementedError("Endpoints does not train")

    async def stream_logs(self, job_id: str) -> AsyncIterator[str]:
        raise NotImplementedError("Endpoints does not train")
        yield ""

    async def fetch_artifact(self, job_id: str) -> bytes:
        raise NotImplementedError("Endpoints does not train")

    async def upload_artifact(self, path: str, metadata: Dict[str, Any]) -> str:
        raise NotImplementedError("Endpoints takes models from the hub")

    async def list_resources(self) -> List[Resource]:
        return []

    async def get_pricing(self, resource_id: str) -> PricingInfo:
        raise NotImplementedError("Endpoints rents nothing")

    def get_required_credentials(self) -> List[str]:
        return ["api_key", "base_url"]
