"""Flyte's connector service with a connector that does nothing. `flyte_server.py PORT FOLDER`, in the peers' own venv.

It leaves the two requests that it can be asked in the folder, so that whoever calls it need not know Flyte's messages.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path

from flyteidl.admin.agent_pb2 import CreateTaskRequest, GetTaskRequest, TaskCategory
from flyteidl.core.execution_pb2 import TaskExecution
from flyteidl.core.tasks_pb2 import TaskTemplate
from flyteidl.service.agent_pb2_grpc import add_AsyncAgentServiceServicer_to_server
from flytekit.extend.backend.base_connector import AsyncConnectorBase, ConnectorRegistry, Resource, ResourceMeta
from flytekit.extend.backend.connector_service import AsyncConnectorService
from grpc import aio

KIND = "bench"


@dataclass
class Meta(ResourceMeta):
    """What names a job."""

    job_id: str


class Idle(AsyncConnectorBase):
    """Accepts every job, and sees all of them run."""

    name = "Idle"

    def __init__(self) -> None:
        super().__init__(task_type_name=KIND, metadata_type=Meta)

    async def create(self, **_: object) -> Meta:
        """Start nothing."""
        return Meta("job")

    async def get(self, **_: object) -> Resource:
        """See it run."""
        return Resource(phase=TaskExecution.RUNNING)

    async def delete(self, **_: object) -> None:
        """End nothing."""


async def main(port: str, folder: str) -> None:
    """Serve until the process is ended."""
    ConnectorRegistry.register(Idle())
    create = CreateTaskRequest(template=TaskTemplate(type=KIND), output_prefix="/tmp")
    get = GetTaskRequest(task_category=TaskCategory(name=KIND), resource_meta=Meta("job").encode())
    (Path(folder) / "CreateTask").write_bytes(create.SerializeToString())
    (Path(folder) / "GetTask").write_bytes(get.SerializeToString())
    server = aio.server()
    add_AsyncAgentServiceServicer_to_server(AsyncConnectorService(), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
