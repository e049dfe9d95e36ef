"""Brings connections and connectors together: the platform behind each connection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

from gateway.connections.model import Connection
from gateway.errors import NotFound
from gateway.plugins.client import ADMIN_LIMIT
from gateway.plugins.directory import Connectors
from gateway.plugins.model import Description
from gateway.plugins.remote import RemotePlatform
from gateway.plugins.traffic import Traffic
from peftstudio.connector.v1 import connector_service_pb2 as pb

CONNECT_LIMIT = timedelta(seconds=30)
"""For Connect, which asks the platform; whoever waits for it has a shorter limit of their own."""


class Processes:
    """Opens and closes connections in connectors' processes, for `gateway.connections`."""

    def __init__(self, connectors: Connectors) -> None:
        self._connectors = connectors

    async def describe(self, connector_id: str) -> Description:
        """Say what a connector is and can do."""
        return await self._connectors.describe(connector_id)

    async def open(self, connector_id: str, connection_id: str, credentials: Mapping[str, str]) -> str:
        """Have the platform check credentials, keep them in the process and return whose account it is."""
        client = await self._connectors.client(connector_id)
        return await client.connect(connection_id, dict(credentials), CONNECT_LIMIT)

    async def verify(self, connector_id: str, connection_id: str) -> str:
        """Ask the platform whether the credentials of an open connection still hold."""
        client = await self._connectors.client(connector_id)
        request = pb.VerifyConnectionRequest(connection_id=connection_id)
        return (await client.call(lambda stub: stub.VerifyConnection, request, CONNECT_LIMIT)).account

    async def close(self, connector_id: str, connection_id: str) -> None:
        """Have the process forget a connection."""
        if client := self._connectors.running(connector_id):
            request = pb.DisconnectRequest(connection_id=connection_id)
            await client.call(lambda stub: stub.Disconnect, request, ADMIN_LIMIT)


class Accounts:
    """Finds the platform behind a connection."""

    def __init__(
        self,
        connectors: Connectors,
        find: Callable[[str], Awaitable[Connection]],
        credentials: Callable[[str], Awaitable[Mapping[str, str]]],
        note_unreachable: Callable[[str, str], Awaitable[None]],
    ) -> None:
        self._connectors = connectors
        self._find = find
        self._credentials = credentials
        self._note_unreachable = note_unreachable
        self._platforms: dict[str, RemotePlatform] = {}

    async def platform(self, connection_id: str) -> RemotePlatform:
        """Return the platform of a connection; its process is started when it is called.

        Raises:
            NotFound: There is no such connection.
        """
        try:
            connection = await self._find(connection_id)
        except NotFound:
            self._platforms.pop(connection_id, None)
            raise
        return self._platforms.get(connection.id) or self._add(connection)

    def _add(self, connection: Connection) -> RemotePlatform:
        async def load() -> Mapping[str, str]:
            return await self._credentials(connection.id)

        async def note(words: str) -> None:
            await self._note_unreachable(connection.id, words)

        platform = RemotePlatform(self._connectors, connection.connector_id, connection.id, load, Traffic(note))
        self._platforms[connection.id] = platform
        return platform
