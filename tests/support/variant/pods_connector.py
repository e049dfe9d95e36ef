# ruff: noqa: UP006, UP035, UP045 - written as such files are
"""A GPU rental: a job is a pod, and a pod knows only what was desired of it."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent.parent))

from typing import Any, AsyncIterator, Dict, List, Optional

import aiohttp

from connectors.base import JobStatus, PlatformConnector, PricingInfo, Resource, ResourceType, TrainingConfig


class PodsConnector(PlatformConnector):
    name = "pods"
    display_name = "Pods"
    description = "Rents GPUs by the hour"
    version = "1.0.0"
    supports_training = True

    def __init__(self) -> None:
        self._session: Optional[aiohttp.ClientSession] = None

    async def connect(self, credentials: Dict[str, str]) -> bool:
        if not credentials.get("api_key"):
            raise ValueError("API key is required")
        self._url = credentials["base_url"]
        self._session = aiohttp.ClientSession(headers={"Authorization": f"Bearer {credentials['api_key']}"})
        if not await self.verify_connection():
            raise ConnectionError("The key is not accepted")
        return True

    async def disconnect(self) -> bool:
        if self._session:
            await self._session.close()
            self._session = None
        return True

    async def verify_connection(self) -> bool:
        assert self._session
        async with self._session.get(f"{self._url}/me") as response:
            return response.status == 200

    async def submit_job(self, config: TrainingConfig) -> str:
        assert self._session
        wish = {
            "gpu": config.resource_id or "rtx4090",
            "env": {
                "MODEL": config.base_model,
                "SOURCE": config.model_source,
                "QUANTIZATION": config.quantization,
                "MODULES": ",".join(config.target_modules),
                "ACCUMULATION": config.gradient_accumulation_steps,
                "WARMUP": config.warmup_steps,
            },
        }
        async with self._session.post(f"{self._url}/pods", json=wish) as response:
            return str((await response.json())["id"])

    async def get_job_status(self, job_id: str) -> JobStatus:
        assert self._session
        async with self._session.get(f"{self._url}/pods/{job_id}") as response:
            desired = (await response.json())["desired"]
        return {"RUNNING": JobStatus.RUNNING, "TERMINATED": JobStatus.CANCELLED}.get(desired, JobStatus.PENDING)

    async def cancel_job(self, job_id: str) -> bool:
        assert self._session
        async with self._session.delete(f"{self._url}/pods/{job_id}") as response:
            return response.status == 200

    async def stream_logs(self, job_id: str) -> AsyncIterator[str]:
        assert self._session
        async with self._session.get(f"{self._url}/pods/{job_id}/log") as response:
            for line in (await response.text()).splitlines():
                yield line

    async def fetch_artifact(self, job_id: str) -> bytes:
        raise NotImplementedError("Pods keep no files")

    async def upload_artifact(self, path: str, metadata: Dict[str, Any]) -> str:
        raise NotImplementedError("Pods have no registry")

    async def list_resources(self) -> List[Resource]:
        assert self._session
        async with self._session.get(f"{self._url}/gpus") as response:
            gpus = await response.json()
        return [
            Resource(
                id=gpu["slug"],
                name=gpu["title"],
                type=ResourceType.GPU,
                gpu_type=gpu["title"],
                gpu_count=1,
                vram_gb=gpu["memory"],
                cpu_cores=8,
                ram_gb=64,
                available=True,
                region=gpu["zone"],
            )
            for gpu in gpus
        ]

    async def get_pricing(self, resource_id: str) -> PricingInfo:
        assert self._session
        async with self._session.get(f"{self._url}/gpus") as response:
            gpu = next(one for one in await response.json() if one["slug"] == resource_id)
        return PricingInfo(  # type: ignore[call-arg]  # the names of the variant are accepted at run time
            resource_id=resource_id,
            price_per_hour=gpu["usd_per_hour"],
            currency="USD",
            billing_increment_seconds=1,
            minimum_charge_seconds=0,
            spot_available=True,
            spot_price_per_hour=gpu["spot"],
        )

    def get_required_credentials(self) -> List[str]:
        return ["api_key", "base_url"]
