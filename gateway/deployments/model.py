"""What a deployment is."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class DeploymentState(StrEnum):
    """Where a deployment is."""

    DEPLOYING = "DEPLOYING"
    ACTIVE = "ACTIVE"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    FAILED = "FAILED"
    IN_DOUBT = "IN_DOUBT"


ENDED = frozenset({DeploymentState.STOPPED, DeploymentState.FAILED})
"""States in which the platform has nothing."""

HELD = frozenset({DeploymentState.DEPLOYING, DeploymentState.ACTIVE, DeploymentState.STOPPING})
"""States in which the gateway can still end it, and needs the connection for that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentWish:
    """A deployment that a client wants."""

    connection_id: str
    model: str
    base_model: str = ""
    resource_id: str = ""
    options: str = "{}"
    """JSON."""
    request_id: str = ""

    @property
    def digest(self) -> str:
        """Hash of all that makes this wish different from another."""
        parts = [self.connection_id, self.model, self.base_model, self.resource_id, self.options]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One deployment."""

    id: str
    connection_id: str
    connector_id: str
    model: str
    state: DeploymentState
    created_at: datetime
    updated_at: datetime
    base_model: str = ""
    resource_id: str = ""
    options: str = "{}"
    """JSON."""
    message: str = ""
    platform_id: str = ""
    """The platform's id of it; empty = it gave none."""
    endpoint_url: str = ""
    stopped_at: datetime | None = None
    request_id: str = ""
    request_hash: str = ""


class DeploymentVerbs(Protocol):
    """What can be asked of a platform about deployments, through one connection; raises `GatewayError` alone."""

    async def require(self, *capabilities: str) -> None:
        """Raise `Unsupported` where the connector does not offer one of these."""
        ...

    async def deploy(self, deployment: Deployment) -> tuple[str, str]:
        """Deploy a model and return the platform's id, and the endpoint where it is known."""
        ...

    async def stop(self, platform_id: str) -> None:
        """Ask for a deployment's end."""
        ...

    async def endpoint(self, platform_id: str) -> str:
        """Say where a deployment is reached; empty = nowhere yet."""
        ...

    async def invoke(self, platform_id: str, question: str) -> str:
        """Ask a deployed model; both are JSON."""
        ...

    async def metrics(self, platform_id: str) -> str:
        """Return what the platform measures, as JSON."""
        ...

    async def update(self, platform_id: str, changes: str) -> None:
        """Change options, which are JSON."""
        ...
