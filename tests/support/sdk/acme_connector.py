# ruff: noqa: B904, RET505, UP006, UP035, UP045 - written as the guide writes
"""A connector in the style of the guide, for AcmePlatform."""

from typing import AsyncIterator, Dict, List, Optional

import aiohttp

from connectors.base import (
    InsufficientCreditsError,
    PlatformConnector,
    PricingInfo,
    RateLimitError,
    Resource,
    TrainingConfig,
)


class AcmeConnector(PlatformConnector):
    """Connector for Acme"""

    name = "acme"
    display_name = "Acme"
    description = "Trains on Acme"
    version = "1.0.0"

    supports_training = True
    supports_inference = True
    supports_registry = False

    def __init__(self) -> None:
        super().__init__()
        self.base_url = "to be set by a subclass"
        self.session: Optional[aiohttp.ClientSession] = None

    async def connect(self, credentials: Dict[str, str]) -> bool:
        api_key = credentials.get("api_key")
        if not api_key:
            raise ValueError("api_key is missing")
        self.session = aiohttp.ClientSession(headers={"Authorization": f"Bearer {api_key}"})
        try:
            async with self.session.get(f"{self.base_url}/verify") as response:
                if response.status == 200:
                    return True
                raise ConnectionError(f"Refused: {await response.text()}")
        except Exception as e:
            await self.disconnect()
            raise ConnectionError(f"Cannot connect: {e}")

    async def disconnect(self) -> None:
        if self.session:
            await self.session.close()
            self.session = None

    async def submit_job(self, config: TrainingConfig) -> str:
        payload = {"model": config.base_model, "rank": config.rank, "alpha": config.alpha}
        try:
            async with self._open.post(f"{self.base_url}/jobs", json=payload) as response:
                if response.status == 201:
                    return str((await response.json())["job_id"])
                elif response.status == 429:
                    raise RateLimitError("Too fast")
                elif response.status == 402:
                    raise InsufficientCreditsError("No credit")
                else:
                    raise RuntimeError(f"Unexpected status {response.status}")
        except aiohttp.ClientError as e:
            raise ConnectionError(f"Network: {e}")
        except Exception as e:
            raise RuntimeError(f"Submission failed: {e}")

    async def get_job_status(self, job_id: str) -> str:
        async with self._open.get(f"{self.base_url}/jobs/{job_id}") as response:
            if response.status == 200:
                return str((await response.json())["status"])
            raise RuntimeError("No status")

    async def stream_logs(self, job_id: str) -> AsyncIterator[str]:
        async with self._open.ws_connect(f"{self.base_url}/jobs/{job_id}/logs") as ws:
            async for msg in ws:
                if msg.type == aiohttp.WSMsgType.TEXT:
                    yield msg.data

    async def fetch_artifact(self, job_id: str) -> bytes:
        async with self._open.get(f"{self.base_url}/jobs/{job_id}/artifact") as response:
            return await response.read()

    async def upload_artifact(self, path: str, metadata: Dict) -> str:  # type: ignore[type-arg]
        with open(path, "rb") as f:  # noqa: ASYNC230 - as the guide does
            data = f.read()
        form = aiohttp.FormData()
        form.add_field("file", data, filename="adapter.safetensors")
        form.add_field("metadata", str(metadata))
        async with self._open.post(f"{self.base_url}/artifacts", data=form) as response:
            return str((await response.json())["artifact_id"])

    async def list_resources(self) -> List[Resource]:
        async with self._open.get(f"{self.base_url}/resources") as response:
            return [Resource(**r) for r in (await response.json())["resources"]]

    async def get_pricing(self, resource_id: str) -> PricingInfo:
        async with self._open.get(f"{self.base_url}/resources/{resource_id}/pricing") as response:
            data = await response.json()
            return PricingInfo(
                hourly_rate=data["hourly_rate"],
                currency=data["currency"],
                billing_increment=data.get("billing_increment", 60),
            )

    @property
    def _open(self) -> aiohttp.ClientSession:
        if not self.session:
            raise RuntimeError("Not connected")
        return self.session
