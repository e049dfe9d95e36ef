# ruff: noqa: UP006, UP035 - written as such files are
"""A machine of one's own: a job is a program, its log a pipe, its result a file; it needs no credentials."""

import os
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import asyncio
from typing import Any, AsyncIterator, Dict, List

from connectors.base import JobStatus, PlatformConnector, PricingInfo, Resource, ResourceType, TrainingConfig

PROGRAM = "import sys; print('rank', sys.argv[1]); open(sys.argv[2], 'w').write('adapter'); sys.exit(int(sys.argv[3]))"


class WorkshopConnector(PlatformConnector):
    name = "workshop"
    display_name = "Workshop"
    description = "Runs programs here"
    version = "1.0.0"
    supports_training = True

    def __init__(self) -> None:
        self.programs: Dict[str, asyncio.subprocess.Process] = {}
        self.lines: Dict[str, List[str]] = {}

    async def connect(self, credentials: Dict[str, str]) -> bool:
        return True

    async def disconnect(self) -> bool:
        return True

    async def verify_connection(self) -> bool:
        return True

    async def submit_job(self, config: TrainingConfig) -> str:
        job_id = str(len(self.programs) + 1)
        arguments = [str(config.rank), self.output(job_id), "3" if config.project_name == "broken" else "0"]
        self.programs[job_id] = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, *arguments, stdout=asyncio.subprocess.PIPE
        )
        return job_id

    async def get_job_status(self, job_id: str) -> JobStatus:
        code = self.programs[job_id].returncode
        if code is None:
            return JobStatus.RUNNING
        return JobStatus.COMPLETED if code == 0 else JobStatus.FAILED

    async def cancel_job(self, job_id: str) -> bool:
        self.programs[job_id].kill()
        return True

    async def stream_logs(self, job_id: str) -> AsyncIterator[str]:
        seen = self.lines.setdefault(job_id, [])
        for line in seen:
            yield line
        stdout = self.programs[job_id].stdout
        assert stdout
        async for raw in stdout:
            seen.append(raw.decode().rstrip())
            yield seen[-1]

    async def fetch_artifact(self, job_id: str) -> bytes:
        with open(self.output(job_id), "rb") as file:  # noqa: ASYNC230
            return file.read()

    async def upload_artifact(self, path: str, metadata: Dict[str, Any]) -> str:
        raise NotImplementedError("Workshop has no registry")

    async def list_resources(self) -> List[Resource]:
        cores = os.cpu_count() or 1
        return [Resource(id="cpu", name="this machine", type=ResourceType.CPU, cpu_cores=cores, ram_gb=8)]

    async def get_pricing(self, resource_id: str) -> PricingInfo:
        return PricingInfo(resource_id=resource_id, price_per_hour=0.0)  # type: ignore[call-arg]

    def output(self, job_id: str) -> str:
        return os.path.join(os.getcwd(), f"adapter-{job_id}.bin")
