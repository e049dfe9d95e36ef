"""The fake platform with the guide's methods alone and aiohttp's own errors: logs are text from the first line on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import ClassVar

import aiohttp
from pydantic import JsonValue

from connectors.base import PlatformConnector, PricingInfo, Resource, TrainingConfig
from tests.support.rental.rental import ANSWER_SECONDS, STATUS, Rental


class GuideRentalConnector(PlatformConnector):
    name = "guide-rental"
    min_poll_interval_seconds: ClassVar[float | None] = 0.1
    credentials_schema: ClassVar[Mapping[str, JsonValue] | None] = Rental.credentials_schema

    async def connect(self, credentials: dict[str, str]) -> bool:
        self.session = aiohttp.ClientSession(
            credentials["base_url"],
            headers={"Authorization": f"Bearer {credentials['api_key']}"},
            timeout=aiohttp.ClientTimeout(sock_read=ANSWER_SECONDS),
            raise_for_status=True,
        )
        async with self.session.get("/v1/account"):
            return True

    async def disconnect(self) -> None:
        await self.session.close()

    async def submit_job(self, config: TrainingConfig) -> str:
        async with self.session.post("/v1/jobs", json={"spec": config.options}) as answer:
            return str((await answer.json())["id"])

    async def get_job_status(self, job_id: str) -> str:
        async with self.session.get(f"/v1/jobs/{job_id}") as answer:
            state = str((await answer.json())["state"])
        return STATUS.get(state, state)

    async def stream_logs(self, job_id: str) -> AsyncIterator[str]:
        async with self.session.get(f"/v1/jobs/{job_id}/log/text") as answer:
            async for line in answer.content:
                yield line.decode()

    async def fetch_artifact(self, job_id: str) -> bytes:
        async with self.session.get(f"/v1/jobs/{job_id}/files/adapter_model.safetensors") as answer:
            return await answer.read()

    async def upload_artifact(self, path: str, metadata: dict[str, JsonValue]) -> str:
        with open(path, "rb") as file:  # noqa: ASYNC230 - as the guide does
            async with self.session.post("/v1/models/upload", data=file.read()) as answer:
                return str((await answer.json())["id"])

    async def list_resources(self) -> list[Resource]:
        async with self.session.get("/v1/machines") as answer:
            machines = (await answer.json())["machines"]
        return [Resource(id=machine["id"], name=machine["id"], gpu_type=machine["gpu"]) for machine in machines]

    async def get_pricing(self, resource_id: str) -> PricingInfo:
        async with self.session.get(f"/v1/machines/{resource_id}/price") as answer:
            return PricingInfo(hourly_rate=(await answer.json())["price_per_hour"])
