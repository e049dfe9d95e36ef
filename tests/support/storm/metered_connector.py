"""Notes each of its calls, and fails as files in its folder say: `down` (503), `busy-<call>` (429, once)."""

from __future__ import annotations

import time
from typing import ClassVar

from connector_sdk.errors import PlatformUnavailableError, RateLimitError
from connector_sdk.models import JobObservation, SubmitRequest
from tests.support.storm.storm_platform import DiskPlatform


class MeteredConnector(DiskPlatform):
    name = "metered"
    submit_safety = "keyed"
    min_poll_interval_seconds: ClassVar[float | None] = 0.05

    def machine_of(self, token: str) -> str:
        return f"m-{token}"

    async def submit(self, request: SubmitRequest) -> str:
        self.arrive("submit")
        return await super().submit(request)

    async def get_job_status(self, job_id: str) -> JobObservation:
        self.arrive("look")
        return await super().get_job_status(job_id)

    async def cancel_job(self, job_id: str) -> None:
        self.arrive("cancel")
        await super().cancel_job(job_id)

    def arrive(self, call: str) -> None:
        with (self.work_dir / "calls").open("a") as file:
            file.write(f"{time.time()} {call}\n")
        if (self.work_dir / "down").exists() and call != "cancel":
            raise PlatformUnavailableError("503 Service Unavailable")
        busy = self.work_dir / f"busy-{call}"
        if busy.exists():
            seconds = float(busy.read_text())
            busy.unlink()
            raise RateLimitError("429 Too Many Requests", retry_after=seconds)
