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


class Deadline:
    """The time that is left for one call, with all that comes before it."""

    __slots__ = ("_at", "_clock", "_connector_id", "_limit")

    def __init__(self, connector_id: str, limit: timedelta) -> None:
        self._connector_id = connector_id
        self._limit = limit
        self._clock = asyncio.get_running_loop().time
        self._at = self._clock() + limit.total_seconds()

    def left(self) -> timedelta:
        """Return what is left.

        Raises:
            PlatformTimeout: Too little for another try.

        """
        rest = timedelta(seconds=self._at - self._clock())
        if rest < _LEAST_LEFT:
            with _Unsent():
                raise PlatformTimeout(f"connector {self._connector_id!r} did not answer within {self._limit}")
        return rest

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Do not count the time within the block, unless it fails."""
        began = self._clock()
        yield
        self._at += self._clock() - began


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
        with _Unsent():
            client = None if newer_than else self.running()
            if client is None:
                client = await self._clients.client(self.connector_id, limit, newer_than=newer_than)
        if capability and capability not in client.description.capabilities:
            raise Unsupported(self.connector_id, capability)
        return client

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
        """Call one method, and call it again where that is safe and of use."""
        deadline = Deadline(self.connector_id, limit)
        client = await self.client(capability, limit)
        while True:
            try:
                return await self._once(client, pick, request, deadline, priority)
            except ConnectorDown as error:
                if error.is_unsent or not is_repeatable:
                    raise
                is_repeatable, client = False, await self.client(capability, deadline.left(), client.generation)
            except RemoteError as error:
                if not await self._waits_out(error, deadline.left() if is_repeatable else timedelta(0), priority):
                    raise

    async def admit_stream(self, client: ConnectorClient, priority: Priority) -> None:
        """Wait until a stream may be opened.

        Raises:
            GatewayError: Its time does not come within a call's limit, or the platform is left alone at present.

        """
        self._traffic.breaker.enter(may_probe=False)
        seconds = None if at_least(priority) is Priority.POLL else CALL_LIMIT.total_seconds()
        await self._traffic.admit(at_least(priority), client.description.requests_per_minute, seconds)

    async def stream_failed(self, error: GatewayError) -> None:
        """Take note of how a stream failed."""
        if isinstance(error, RemoteError):
            self._pause_after(error)
            # A silence is no failure: a log may have nothing to say.
            await self._traffic.failed(error)

    async def _once(
        self,
        client: ConnectorClient,
        pick: Unary[Request, Response],
        request: Request,
        deadline: Deadline,
        priority: Priority,
    ) -> Response:
        """Make a call when its turn comes, unless its platform is left alone, and take note of how it ended."""
        traffic, per_minute = self._traffic, client.description.requests_per_minute
        if not traffic.is_free(per_minute):
            await self._wait_for_turn(deadline, at_least(priority), per_minute)
        is_probe = priority is not Priority.CANCEL and traffic.breaker.enter(may_probe=True)
        try:
            result = await self.connected(client, lambda one, left: one.call(pick, request, left), deadline)
        except GatewayError as error:
            await traffic.failed(error)
            raise
        finally:
            traffic.breaker.leave(is_probe=is_probe)
        await traffic.succeeded()
        return result

    async def _wait_for_turn(self, deadline: Deadline, priority: Priority, per_minute: int) -> None:
        if priority is not Priority.POLL:
            await self._traffic.admit(priority, per_minute, deadline.left().total_seconds())
            return
        with deadline.suspended():
            # Nobody waits for a look: what it spends in line is not the platform's time.
            await self._traffic.admit(priority, per_minute, None)

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

    async def connected(self, client: ConnectorClient, work: Work[Result], deadline: Deadline | None = None) -> Result:
        """Make a call to one process, and open the connection in it where it is not open."""
        deadline = deadline or Deadline(self.connector_id, CALL_LIMIT)
        seen = await self.greet(client)
        try:
            return await work(client, deadline.left())
        except RemoteError as error:
            if error.reason is not Reason.NOT_CONNECTED:
                raise
        await self.open(client, seen)
        return await work(client, deadline.left())

    async def greet(self, client: ConnectorClient) -> int:
        """Return how often the connection was opened; in a process that was taken over it is, before its first use.

        That process may have credentials of before, and this gateway must know those that it is to blot out.
        """
        if client.is_adopted and not client.sessions.count(self.connection_id):
            await self.open(client, 0)
        return client.sessions.count(self.connection_id)

    async def open(self, client: ConnectorClient, seen: int) -> None:
        """Open the connection in one process, unless that was done since `seen` was counted."""
        with _Unsent():
            await client.sessions.open(self.connection_id, self._load, seen)

    def running(self) -> ConnectorClient | None:
        """Return the client of the present process where one serves."""
        return self._clients.running(self.connector_id)


class _Unsent:
    """Note of what fails in the block that the platform was not called yet. No generator, as every call passes here."""

    __slots__ = ()

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Note it."""
        if isinstance(error, GatewayError):
            error.is_unsent = True
