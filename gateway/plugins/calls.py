"""Makes calls for one connection: finds the process, opens the connection in it, and repeats what may be repeated.

A process that has just started has no connection open and says NOT_CONNECTED: the connection is opened, once for all
calls that need it, and the call is made again. A process that dies under a call is waited for, and the call is made
again once, unless it is one that must not arrive twice. A platform that says 429 is called again when it is time.
All of it happens within the call's own limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol, TypeVar

from gateway.errors import ConnectorDown, GatewayError, PlatformTimeout, Reason, RemoteError, Unsupported
from gateway.plugins.client import ConnectorClient, Request, Response, Unary
from gateway.plugins.sessions import LoadCredentials
from gateway.plugins.traffic import Traffic
from gateway.priority import Priority, at_least

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

    def __init__(
        self, clients: Clients, connector_id: str, connection_id: str, load: LoadCredentials, traffic: Traffic
    ) -> None:
        self.connector_id = connector_id
        self.connection_id = connection_id
        self._clients = clients
        self._load = load
        self._traffic = traffic

    async def client(self, capability: str = "", limit: timedelta = CALL_LIMIT, newer_than: int = 0) -> ConnectorClient:
        """Return the client of the present process.

        Raises:
            Unsupported: It does not offer the capability.

        """
        with _unsent():
            client = await self._clients.client(self.connector_id, limit, newer_than=newer_than)
        if capability and capability not in client.description.capabilities:
            raise Unsupported(self.connector_id, capability)
        return client

    async def call(
        self,
        work: Work[Result],
        *,
        limit: timedelta = CALL_LIMIT,
        capability: str = "",
        is_repeatable: bool = True,
        priority: Priority = Priority.READ,
    ) -> Result:
        """Make a call, and make it again where that is safe and of use."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + limit.total_seconds()

        def left() -> timedelta:
            rest = timedelta(seconds=deadline - clock())
            if rest < _LEAST_LEFT:
                with _unsent():
                    raise PlatformTimeout(f"connector {self.connector_id!r} did not answer within {limit}")
            return rest

        async def once(client: ConnectorClient) -> Result:
            nonlocal deadline
            began = clock()
            await self._admit(client, at_least(priority), left)
            if at_least(priority) is Priority.POLL:
                # Nobody waits for a look: what it spent in line is not the platform's time.
                deadline += clock() - began
            return await self._judged(client, work, left, priority)

        client = await self.client(capability, left())
        while True:
            try:
                return await once(client)
            except ConnectorDown as error:
                if error.is_unsent or not is_repeatable:
                    raise
                is_repeatable, client = False, await self.client(capability, left(), client.generation)
            except RemoteError as error:
                if not await self._waits_out(error, left() if is_repeatable else timedelta(0), priority):
                    raise

    async def ask(
        self,
        pick: Unary[Request, Response],
        request: Request,
        *,
        limit: timedelta = CALL_LIMIT,
        capability: str = "",
        is_repeatable: bool = True,
        priority: Priority = Priority.READ,
    ) -> Response:
        """Call one method, as `call` does."""
        return await self.call(
            lambda client, left: client.call(pick, request, left),
            limit=limit,
            capability=capability,
            is_repeatable=is_repeatable,
            priority=priority,
        )

    async def admit_stream(self, client: ConnectorClient, priority: Priority) -> None:
        """Wait until a stream may be opened.

        Raises:
            GatewayError: Its time does not come within a call's limit, or the platform is left alone at present.

        """
        self._traffic.breaker.enter(may_probe=False)
        await self._admit(client, at_least(priority), lambda: CALL_LIMIT)

    async def stream_failed(self, error: GatewayError) -> None:
        """Take note of how a stream failed."""
        if isinstance(error, RemoteError):
            self._pause_after(error)
            # A silence is no failure: a log may have nothing to say.
            await self._traffic.failed(error)

    async def _admit(self, client: ConnectorClient, priority: Priority, left: Callable[[], timedelta]) -> None:
        seconds = None if priority is Priority.POLL else left().total_seconds()
        await self._traffic.admit(priority, client.description.requests_per_minute, seconds)

    async def _judged(
        self, client: ConnectorClient, work: Work[Result], left: Callable[[], timedelta], priority: Priority
    ) -> Result:
        """Make a call unless its platform is left alone, and take note of how it ended."""
        traffic = self._traffic
        is_probe = priority is not Priority.CANCEL and traffic.breaker.enter(may_probe=True)
        try:
            result = await self.connected(client, work, left)
        except GatewayError as error:
            await traffic.failed(error)
            raise
        finally:
            traffic.breaker.leave(is_probe=is_probe)
        await traffic.succeeded()
        return result

    async def _waits_out(self, error: RemoteError, left: timedelta, priority: Priority) -> bool:
        """Pause the connection after a 429, and tell whether the call can be made again in the time that is left."""
        pause = self._pause_after(error)
        if pause is None or pause > left:
            return False
        if priority is Priority.CANCEL:
            # It is not held up by the pause of the others, but by its own.
            await asyncio.sleep(pause.total_seconds())
        return True

    def _pause_after(self, error: RemoteError) -> timedelta | None:
        return self._traffic.limited(error.retry_after) if error.reason is Reason.RATE_LIMITED else None

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
        with _unsent():
            await client.sessions.open(self.connection_id, self._load, seen)

    def running(self) -> ConnectorClient | None:
        """Return the client of the present process where one serves."""
        return self._clients.running(self.connector_id)


@contextmanager
def _unsent() -> Iterator[None]:
    """Note of what fails here that the platform was not called yet."""
    try:
        yield
    except GatewayError as error:
        error.is_unsent = True
        raise
