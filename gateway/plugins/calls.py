"""Makes calls for one connection: finds the process, opens the connection in it, and repeats what may be repeated.

A process that has just started has no connection open and says NOT_CONNECTED: the connection is opened, once for all
calls that need it, and the call is made again. A process that dies under a call is waited for, and the call is made
again once, unless it is one that must not arrive twice. All of it happens within the call's own limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Protocol, TypeVar

from gateway.errors import ConnectorDown, PlatformTimeout, Reason, RemoteError, Unsupported
from gateway.plugins.client import ConnectorClient
from gateway.plugins.sessions import LoadCredentials

CALL_LIMIT = timedelta(seconds=30)
"""For a call that asks the platform: platforms answer in seconds, and a user waits."""
SUBMIT_LIMIT = timedelta(seconds=120)
"""For a submission: some platforms answer only when a machine is found."""
_LEAST_LEFT = timedelta(milliseconds=50)
"""Time below which another try cannot succeed."""

Result = TypeVar("Result")
Work = Callable[[ConnectorClient, timedelta], Awaitable[Result]]
"""A call to be made with a client within what is left of the limit."""


class Clients(Protocol):
    """Finds the process of a connector."""

    async def client(self, connector_id: str, limit: timedelta, *, newer_than: int = 0) -> ConnectorClient:
        """Return a client of a serving process."""
        ...

    def running(self, connector_id: str) -> ConnectorClient | None:
        """Return the client of a serving process, if one serves."""
        ...


class Caller:
    """Calls one connector in the name of one connection."""

    def __init__(self, clients: Clients, connector_id: str, connection_id: str, load: LoadCredentials) -> None:
        self.connector_id = connector_id
        self.connection_id = connection_id
        self._clients = clients
        self._load = load

    async def client(self, capability: str = "", limit: timedelta = CALL_LIMIT, newer_than: int = 0) -> ConnectorClient:
        """Return the client of the present process.

        Raises:
            Unsupported: It does not offer the capability.

        """
        client = await self._clients.client(self.connector_id, limit, newer_than=newer_than)
        if capability and capability not in client.description.capabilities:
            raise Unsupported(self.connector_id, capability)
        return client

    async def call(
        self, work: Work[Result], *, limit: timedelta = CALL_LIMIT, capability: str = "", is_repeatable: bool = True
    ) -> Result:
        """Make a call, and make it again where that is safe and of use."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + limit.total_seconds()

        def left() -> timedelta:
            rest = timedelta(seconds=deadline - clock())
            if rest < _LEAST_LEFT:
                raise PlatformTimeout(f"connector {self.connector_id!r} did not answer within {limit}")
            return rest

        client = await self.client(capability, left())
        try:
            return await self.connected(client, work, left)
        except ConnectorDown:
            if not is_repeatable:
                raise
        client = await self.client(capability, left(), client.generation)
        return await self.connected(client, work, left)

    async def connected(
        self, client: ConnectorClient, work: Work[Result], left: Callable[[], timedelta] = lambda: CALL_LIMIT
    ) -> Result:
        """Make a call to one process, and open the connection in it where it is not open."""
        seen = await self.greet(client)
        try:
            return await work(client, left())
        except RemoteError as error:
            if error.reason is not Reason.NOT_CONNECTED:
                raise
        await self.open(client, seen)
        return await work(client, left())

    async def greet(self, client: ConnectorClient) -> int:
        """Return how often the connection was opened; in a process that was taken over it is, before its first use.

        That process may have credentials of before, and this gateway must know those that it is to blot out.
        """
        if client.is_adopted and not client.sessions.count(self.connection_id):
            await self.open(client, 0)
        return client.sessions.count(self.connection_id)

    async def open(self, client: ConnectorClient, seen: int) -> None:
        """Open the connection in one process, unless that was done since `seen` was counted."""
        await client.sessions.open(self.connection_id, self._load, seen)

    def running(self) -> ConnectorClient | None:
        """Return the client of the present process where one serves."""
        return self._clients.running(self.connector_id)
