"""The asynchronous client."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.client.artifacts import Artifacts
from gateway.client.async_rpc import AsyncRpc
from gateway.client.catalog import Catalog
from gateway.client.connections import Connections
from gateway.client.connectors import Connectors
from gateway.client.deployments import Deployments
from gateway.client.jobs import Jobs
from gateway.client.location import Locator


class Client:
    """Talks to one gateway.

    Without arguments it finds the gateway of this machine (`gateway.client.location`). Use it as an async context
    manager; make it inside the event loop that uses it.
    """

    def __init__(
        self,
        address: str | None = None,
        token: str | None = None,
        *,
        token_file: Path | None = None,
        data_dir: Path | None = None,
        tls: bool | None = None,
        ca_file: Path | None = None,
    ) -> None:
        locator = Locator(
            address=address, token=token, token_file=token_file, data_dir=data_dir, tls=tls, ca_file=ca_file
        )
        self._rpc = AsyncRpc(locator)
        self.artifacts = Artifacts(self._rpc)
        self.catalog = Catalog(self._rpc)
        self.connections = Connections(self._rpc)
        self.connectors = Connectors(self._rpc)
        self.deployments = Deployments(self._rpc)
        self.jobs = Jobs(self._rpc)

    @property
    def address(self) -> str:
        """Where the gateway is."""
        return self._rpc.location.address

    async def close(self) -> None:
        """Close the connection; calls that are under way are cancelled."""
        await self._rpc.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
