"""Failures of connectors' processes."""

from __future__ import annotations

from gateway.errors import ConnectorDown
from gateway.plugins.model import ExitClass


class StartFailed(ConnectorDown):
    """Raised when a process did not become ready.

    Attributes:
        exit_class: What kind of death it is, which decides whether another start is of use.

    """

    def __init__(self, message: str, exit_class: ExitClass) -> None:
        super().__init__(message)
        self.exit_class = exit_class


class Stranger(ConnectorDown):
    """Raised when an answer does not prove that it came from the process that was launched."""

    def __init__(self, connector_id: str) -> None:
        super().__init__(
            f"an answer in the name of connector {connector_id!r} did not come from the process that this gateway "
            "launched and is not used; a connector must send x-connector-token with every answer"
        )
