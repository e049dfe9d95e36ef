"""Trains on Cirrus, a platform with a REST API and a WebSocket for each job's log. In the plain style of the guide."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from connectors.base import PlatformConnector, PricingInfo, Resource, TrainingConfig

API = "https://api.cirrus.example/v1"


class CirrusConnector(PlatformConnector):
    name = "cirrus"
    display_name = "Cirrus"
    description = "Rents machines at Cirrus and trains on them"
    version = "1.0.0"

    supports_training = True
    supports_inference = False
    supports_registry = True

    def __init__(self) -> None:
        super().__init__()
        self.session: aiohttp.ClientSession | None = None

    async def connect(self, credentials: dict[str, str]) -> bool:
        key = credentials.get("api_key")
        if not key:
            raise ValueError("api_key is missing")
        self.session = aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"})
        async with self.session.get(f"{API}/verify") as answer:
            if answer.status != 200:
                raise ConnectionError(f"Cirrus refuses: {await answer.text()}")
        return True

    async def disconnect(self) -> None:
        if self.session:
            await self.session.close()
        self.session = None

    async def submit_job(self, config: TrainingConfig) -> str:
        wish = {
            "model": config.base_model,
            "algorithm": config.algorithm,
            "rank": config.rank,
            "alpha": config.alpha,
            "learning_rate": config.learning_rate,
            "batch_size": config.batch_size,
            "num_epochs": config.num_epochs,
            "dataset": config.dataset_path,
        }
        async with self.open.post(f"{API}/jobs", json=wish) as answer:
            answer.raise_for_status()
            return (await answer.json())["job_id"]

    async def get_job_status(self, job_id: str) -> str:
        return (await self.get(f"/jobs/{job_id}"))["status"]

    async def stream_logs(self, job_id: str) -> AsyncIterator[str]:
        async with self.open.ws_connect(f"{API}/jobs/{job_id}/logs") as socket:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    yield message.data

    async def fetch_artifact(self, job_id: str) -> AsyncIterator[bytes]:
        async with self.open.get(f"{API}/jobs/{job_id}/artifact") as answer:
            answer.raise_for_status()
            async for piece in answer.content.iter_any():
                yield piece

    async def upload_artifact(self, path: str, metadata: dict[str, Any]) -> str:
        with open(path, "rb") as file:  # noqa: ASYNC230 - it is opened at once, and read by aiohttp
            form = aiohttp.FormData({"metadata": str(metadata)})
            form.add_field("file", file, filename="adapter.safetensors")
            async with self.open.post(f"{API}/artifacts", data=form) as answer:
                answer.raise_for_status()
                return (await answer.json())["artifact_id"]

    async def list_resources(self) -> list[Resource]:
        return [Resource(**one) for one in (await self.get("/resources"))["resources"]]

    async def get_pricing(self, resource_id: str) -> PricingInfo:
        return PricingInfo(**await self.get(f"/resources/{resource_id}/pricing"))

    @property
    def open(self) -> aiohttp.ClientSession:
        if self.session is None:
            raise RuntimeError("Not connected")
        return self.session

    async def get(self, path: str) -> dict[str, Any]:
        async with self.open.get(API + path) as answer:
            answer.raise_for_status()
            return await answer.json()
