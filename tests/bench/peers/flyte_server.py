"""Flyte's connector service with a connector that does nothing. `flyte_server.py PORT FOLDER`, in the peers' own venv.

It leaves the two requests that it can be asked in the folder, so that whoever calls it need not know Flyte's messages.
A task is created as Flyte does it, of the training that `training.json` in the folder describes.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flyteidl.admin.agent_pb2 import CreateTaskRequest, GetTaskRequest, TaskCategory, TaskExecutionMetadata
from flyteidl.core.execution_pb2 import TaskExecution
from flyteidl.core.identifier_pb2 import (
    TASK,
    Identifier,
    NodeExecutionIdentifier,
    TaskExecutionIdentifier,
    WorkflowExecutionIdentifier,
)
from flyteidl.service.agent_pb2_grpc import add_AsyncAgentServiceServicer_to_server
from flytekit import FlyteContextManager, kwtypes
from flytekit.configuration import ImageConfig, SerializationSettings
from flytekit.core.base_task import PythonTask
from flytekit.core.interface import Interface
from flytekit.core.type_engine import TypeEngine
from flytekit.extend.backend.base_connector import (
    AsyncConnectorBase,
    AsyncConnectorExecutorMixin,
    ConnectorRegistry,
    Resource,
    ResourceMeta,
)
from flytekit.extend.backend.connector_service import AsyncConnectorService
from flytekit.tools.translator import get_serializable
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


class Training(AsyncConnectorExecutorMixin, PythonTask):
    """A task whose settings are of the connector's own kind, as those of Flyte's plugins are."""

    def __init__(self, settings: Mapping[str, object]) -> None:
        interface = Interface(inputs=kwtypes(base_model=str, dataset_path=str), outputs=kwtypes(model=str))
        super().__init__(task_type=KIND, name="training", task_config=None, interface=interface)
        self._settings = dict(settings)

    def get_custom(self, settings: SerializationSettings) -> dict[str, object]:
        """Give what the connector is to read."""
        return self._settings


def training(config: dict[str, object]) -> CreateTaskRequest:
    """Make the request that Flyte would send: the template by flytekit itself, and who runs it."""
    labels = config.pop("labels")
    inputs = {name: config.pop(name) for name in ("base_model", "dataset_path")}
    task = Training(config)
    where = {"project": "bench", "domain": "development"}
    settings = SerializationSettings(
        **where, version="1", image_config=ImageConfig.auto(img_name="localhost/training:1")
    )
    template = get_serializable(OrderedDict(), settings, task).template.to_flyte_idl()
    given = TypeEngine.dict_to_literal_map(FlyteContextManager.current_context(), inputs).to_flyte_idl()
    execution = TaskExecutionIdentifier(
        task_id=Identifier(resource_type=TASK, name="training", version="1", **where),
        node_execution_id=NodeExecutionIdentifier(
            node_id="n0", execution_id=WorkflowExecutionIdentifier(name="f0123456789abcdef", **where)
        ),
    )
    return CreateTaskRequest(
        template=template,
        inputs=given,
        output_prefix="s3://bucket/metadata/bench-development-f0123456789abcdef/n0/data/0",
        task_execution_metadata=TaskExecutionMetadata(
            task_execution_id=execution,
            namespace="bench-development",
            labels=labels,
            k8s_service_account="default",
        ),
    )


async def main(port: str, folder: str) -> None:
    """Serve until the process is ended."""
    ConnectorRegistry.register(Idle())
    create = training(json.loads((Path(folder) / "training.json").read_text()))
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
