"""What connections need from the rest of the gateway."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from gateway.connections.model import Connection
from gateway.plugins.model import Description


class ConnectorAccess(Protocol):
    """Opens and closes accounts in connectors' processes. Every method raises `GatewayError` and nothing else."""

    async def describe(self, connector_id: str) -> Description:
        """Say what a connector is and can do; starts its process where it does not run, which has its own time-out.

        Raises:
            NotFound: There is no such connector.
        """
        ...

    async def open(self, connector_id: str, connection_id: str, credentials: Mapping[str, str]) -> str:
        """Have the platform check credentials, keep them in the process and return whose account it is.

        A connection that is open already gets the new credentials.
        """
        ...

    async def verify(self, connector_id: str, connection_id: str) -> str:
        """Ask the platform whether the credentials of an open connection still hold; return whose account it is."""
        ...

    async def close(self, connector_id: str, connection_id: str) -> None:
        """Have the process forget a connection; one that is not open is no error."""
        ...


class OpenJobs(Protocol):
    """Tells whether a connection is in use."""

    async def __call__(self, connection_id: str) -> bool:
        """Whether the connection has jobs that have not ended."""
        ...


class Directory(Protocol):
    """Finds connections, for the parts of the gateway that only look."""

    async def get(self, id_or_name: str) -> Connection:
        """Find a connection.

        Raises:
            NotFound: There is none with this id or name.
        """
        ...

    async def all(self) -> list[Connection]:
        """List all connections, oldest first."""
        ...
