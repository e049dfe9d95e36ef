"""Do with a deployment what was asked, the author's way."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping

from google.protobuf import json_format, struct_pb2

from connector_sdk._outbound import outbound
from connector_sdk._struct import from_struct
from connector_sdk._text import clean
from connector_sdk.connector import PlatformConnector
from connector_sdk.errors import BadUpstreamError, UnsupportedError, WrongStateError
from connector_sdk.models import DeploymentConfig
from peftstudio.connector.v1 import connector_service_pb2 as pb

LARGEST_ANSWER_BYTES = 2 * 1024**2  # half of what a message may have
MODEL_NAMES = ("model_id", "model", "model_name", "model_path", "artifact_id", "adapter_id", "adapter_path")
NAMES = ("name", "deployment_name", "endpoint_name", "deployment_id")
RESOURCE_NAMES = ("resource_id", "resource", "hardware", "instance_type", "gpu_type")
CONFIG_NAMES = ("config", "deployment_config")
OPTION_NAMES = ("options", "metadata", "settings")
"""What authors call the parameters of `deploy_model`."""
ID_KEYS = ("id", "deployment_id", "endpoint_id", "name")
URL_KEYS = ("endpoint_url", "url", "endpoint")
"""Where platforms' answers keep them, the surest first."""


async def deploy(connector: PlatformConnector, request: pb.DeployModelRequest) -> pb.DeployModelResponse:
    """Deploy a model."""
    config = DeploymentConfig(
        model_id=request.model,
        base_model=request.base_model,
        name=request.deployment_id,
        resource_id=request.resource_id,
        options=from_struct(request.options),
    )
    said = await connector.deploy_model(**_arguments(connector.deploy_model, config))
    with outbound("deployment"):
        made = {"id": said} if isinstance(said, str) else said
        deployment_id = next((made[key] for key in ID_KEYS if made.get(key)), None)
        if deployment_id is None:
            raise BadUpstreamError("The platform gave no id for the deployment.")
        url = next((made[key] for key in URL_KEYS if made.get(key)), "")
        return pb.DeployModelResponse(platform_deployment_id=clean(str(deployment_id)), endpoint_url=clean(str(url)))


async def stop(connector: PlatformConnector, deployment_id: str) -> None:
    """End a deployment."""
    if await connector.stop_deployment(deployment_id) is False:
        raise WrongStateError(f"The platform did not stop the deployment {deployment_id}.")


async def update(connector: PlatformConnector, request: pb.UpdateDeploymentRequest) -> None:
    """Change a deployment."""
    changes = from_struct(request.changes)
    if await connector.update_deployment(request.platform_deployment_id, changes) is False:
        raise WrongStateError(f"The platform did not change the deployment {request.platform_deployment_id}.")


async def invoke(connector: PlatformConnector, request: pb.InvokeEndpointRequest) -> pb.InvokeEndpointResponse:
    """Ask a deployed model."""
    said = await connector.invoke_endpoint(request.platform_deployment_id, from_struct(request.input))
    with outbound("answer"):
        plain = json.loads(json.dumps(said, default=_text, allow_nan=False))
        answer = json_format.ParseDict(plain, struct_pb2.Value())
    if answer.ByteSize() > LARGEST_ANSWER_BYTES:
        raise BadUpstreamError(f"The model's answer has more than {LARGEST_ANSWER_BYTES} bytes.")
    return pb.InvokeEndpointResponse(output=answer)


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _arguments(method: Callable[..., object], config: DeploymentConfig) -> dict[str, object]:
    """Fill the parameters that the author named; what is empty is left to the author's default."""
    known: Mapping[str, object] = {
        **dict.fromkeys(MODEL_NAMES, config.model_id),
        **dict.fromkeys(NAMES, config.name),
        **dict.fromkeys(RESOURCE_NAMES, config.resource_id),
        **dict.fromkeys(CONFIG_NAMES, config),
        **dict.fromkeys(OPTION_NAMES, config.options),
        "base_model": config.base_model,
        **config.options,
    }
    filled: dict[str, object] = {}
    for name, parameter in inspect.signature(method).parameters.items():
        has_default = parameter.default is not parameter.empty
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if name not in known and not has_default:
            raise UnsupportedError(
                message=f"deploy_model asks for {name}, which nobody gives; put it into the deployment's options."
            )
        if name in config.options or (name in known and (known[name] or not has_default)):
            filled[name] = known[name]
    return filled
