"""Makes a machine with every call, and shows it in its lists `lag` seconds later, an option of the job."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from connector_sdk.models import ListedJob, SubmitRequest
from tests.support.storm.storm_platform import StormPlatform


class LaggingConnector(StormPlatform):
    name = "lagging"

    async def submit(self, request: SubmitRequest) -> str:
        machine = await super().submit(request)
        died = self.work_dir / "died"
        if request.config.options.get("dies") and not died.exists():
            died.touch()
            # The machine is rented, and nobody was told.
            os._exit(1)
        return machine

    async def find_job(self, submission_token: str) -> str | None:
        shown = (machine for machine in self.machines.iterdir() if self.is_shown(machine))
        return next((found.name for found in shown if self.spec(found)["token"] == submission_token), None)

    async def list_jobs(self, cursor: str) -> tuple[list[ListedJob], str]:
        return [self.listed(machine) for machine in self.machines.iterdir() if self.is_shown(machine)], ""

    def is_shown(self, machine: Path) -> bool:
        spec = json.loads((machine / "spec.json").read_text())
        return bool(time.time() - spec["started_at"] >= spec.get("lag", 0))
