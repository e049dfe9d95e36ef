"""Accounts on platforms: made, checked, given new credentials, and closed so that nothing is left."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import TypeVar

from gateway.clock import Clock
from gateway.connections.access import ConnectorAccess, OpenJobs
from gateway.connections.checks import credential_violations, name_violations
from gateway.connections.model import Connection, ConnectionState
from gateway.connections.redactors import Redactors
from gateway.connections.vault import Vault
from gateway.errors import GatewayError, InvalidRequest, NotFound, PlatformTimeout, Reason, Violation, WrongState
from gateway.ids import new_id
from gateway.paging import PageRequest
from gateway.redaction import Redactor
from gateway.store.connections import ConnectionStore, NameTaken

ANSWER_TIME = timedelta(seconds=10)
"""How long a platform may take over credentials: a person is waiting."""

CLOSE_TIME = timedelta(seconds=5)
"""How long a process may take to forget a connection; the gateway forgets it anyway."""

VERIFIED_TIME = timedelta(seconds=5)
"""Age at which the time of the last check is kept anew: each is a write that the disk must have for good."""

_REFUSALS = frozenset({Reason.CREDENTIALS_REJECTED, Reason.FORBIDDEN})

Answer = TypeVar("Answer")


class Connections:
    """All connections of this gateway."""

    def __init__(
        self, store: ConnectionStore, vault: Vault, access: ConnectorAccess, clock: Clock, has_open_jobs: OpenJobs
    ) -> None:
        self._store = store
        self._vault = vault
        self._redactors = Redactors(store, vault)
        self._access = access
        self._clock = clock
        self._has_open_jobs = has_open_jobs

    async def connect(self, connector_id: str, credentials: Mapping[str, str], name: str = "") -> Connection:
        """Have the platform check credentials, and keep them as a connection; nothing is kept if it refuses.

        Raises:
            InvalidRequest: With all fields that cannot be used; the platform was not asked.
            NotFound: There is no such connector.
            PlatformTimeout: The platform did not answer within `ANSWER_TIME`.
        """
        await self._check(connector_id, credentials, name)
        now = self._clock.now()
        connection = Connection(
            id=new_id("conn", now), connector_id=connector_id, name=name, created_at=now, verified_at=now
        )
        try:
            account = await _answer(self._access.open(connector_id, connection.id, credentials))
            return await self._keep(replace(connection, account=account), credentials)
        except BaseException:
            await self._close(connection)
            raise

    async def get(self, id_or_name: str) -> Connection:
        """Find a connection.

        Raises:
            NotFound: There is none with this id or name.
        """
        connection = await self._store.get(id_or_name)
        if connection is None:
            raise NotFound("connection", id_or_name)
        return connection

    async def all(self) -> list[Connection]:
        """List all connections, oldest first."""
        return await self._store.all()

    async def list(self, page: PageRequest, connector_id: str = "") -> tuple[list[Connection], str]:
        """List connections, oldest first, with the token of the next page."""
        return await self._store.page(page, connector_id)

    async def verify(self, id_or_name: str) -> Connection:
        """Ask the platform whether the credentials still hold, and keep what it says as the connection's state."""
        connection = await self.get(id_or_name)
        try:
            account = await _answer(self._ask(connection))
        except GatewayError as error:
            if error.reason not in _REFUSALS and not error.is_transient:
                raise
            state = ConnectionState.NEEDS_AUTH if error.reason in _REFUSALS else ConnectionState.UNREACHABLE
            return await self.mark(connection.id, state, error.message)
        return await self._accepted(connection, account)

    async def rotate(self, id_or_name: str, credentials: Mapping[str, str]) -> Connection:
        """Replace the credentials once the platform accepted the new ones; the old ones stay if it refuses.

        Raises:
            InvalidRequest: With all credentials that cannot be used; the platform was not asked.
        """
        connection = await self.get(id_or_name)
        await self._check(connection.connector_id, credentials)
        # Tried under an id of their own, so that the open connection keeps working until they are known to be good.
        trial = replace(connection, id=new_id("conn", self._clock.now()))
        try:
            account = await _answer(self._access.open(connection.connector_id, trial.id, credentials))
        finally:
            await self._close(trial)
        sealed = self._vault.seal(connection.id, credentials)
        await self._store.rotate(replace(connection, account=account or connection.account), sealed)
        return await self._reopen(connection.id, credentials)

    async def disconnect(self, id_or_name: str, force: bool = False) -> None:
        """Close a connection and delete its credentials for good, even where the connector does not answer.

        Raises:
            WrongState: It has jobs or deployments that have not ended, and `force` is not given.
        """
        connection = await self.get(id_or_name)
        if not force and await self._has_open_jobs(connection.id):
            raise WrongState(
                f"connection {connection.name!r} has jobs or deployments that have not ended; end them, wait, or"
                " force the disconnect (they are then no longer followed)"
            )
        await self._store.remove(connection.id)
        await self._close(connection)

    async def credentials(self, connection_id: str) -> dict[str, str]:
        """Decrypt the credentials of a connection, for the one process that needs them.

        Raises:
            NotFound: There is no such connection.
            KeyUnusable: They were sealed with another key.
        """
        sealed = await self._store.sealed(connection_id)
        if sealed is None:
            raise NotFound("connection", connection_id)
        return self._vault.open(connection_id, sealed)

    async def redactor(self, connection_id: str) -> Redactor:
        """Return what blots out all that the jobs of a connection may print and nobody may see.

        Raises:
            NotFound: There is no such connection.
            KeyUnusable: Its credentials were sealed with another key.
        """
        return await self._redactors.of(connection_id)

    async def drop_former(self, job_id: str = "") -> None:
        """Delete former credentials that no job prints any more, now that one has ended; empty = look at all jobs."""
        await self._store.drop_former(job_id)

    async def mark(self, connection_id: str, state: ConnectionState, message: str = "") -> Connection:
        """Keep what was noticed about a connection, e.g. that the platform no longer accepts its credentials."""
        connection = await self.get(connection_id)
        marked = replace(connection, state=state, message=message)
        if marked != connection:
            await self._store.save(marked)
        return marked

    async def note_unreachable(self, connection_id: str, words: str) -> None:
        """Keep that a connection's platform is left alone, and why; empty = it answers again."""
        with contextlib.suppress(GatewayError):
            connection = await self.get(connection_id)
            # Credentials that are not accepted are the greater trouble, and end in their own way.
            if words and connection.state is not ConnectionState.NEEDS_AUTH:
                await self.mark(connection.id, ConnectionState.UNREACHABLE, words)
            elif not words and connection.state is ConnectionState.UNREACHABLE:
                await self.mark(connection.id, ConnectionState.ACTIVE)

    async def _check(self, connector_id: str, credentials: Mapping[str, str], name: str = "") -> None:
        description = await self._access.describe(connector_id)
        violations = name_violations(name) if name else []
        if name in await self._store.names():
            violations.append(_taken(name))
        violations += credential_violations(description.credentials_schema, credentials)
        if violations:
            raise InvalidRequest(violations)

    async def _keep(self, connection: Connection, credentials: Mapping[str, str]) -> Connection:
        sealed = self._vault.seal(connection.id, credentials)
        while True:
            named = replace(connection, name=connection.name or await self._free_name(connection.connector_id))
            try:
                await self._store.add(named, sealed)
            except NameTaken as error:
                if connection.name:
                    raise InvalidRequest([_taken(connection.name)]) from error
            else:
                return named

    async def _free_name(self, connector_id: str) -> str:
        taken = await self._store.names()
        candidates = (connector_id if number == 1 else f"{connector_id}-{number}" for number in count(1))
        return next(name for name in candidates if name not in taken)

    async def _ask(self, connection: Connection) -> str:
        try:
            return await self._access.verify(connection.connector_id, connection.id)
        except GatewayError as error:
            if error.reason is not Reason.NOT_CONNECTED:
                raise
        # The process started anew and knows nothing yet; opening checks the credentials as well.
        credentials = await self.credentials(connection.id)
        return await self._access.open(connection.connector_id, connection.id, credentials)

    async def _reopen(self, connection_id: str, credentials: Mapping[str, str]) -> Connection:
        connection = await self.get(connection_id)
        try:
            account = await _answer(self._access.open(connection.connector_id, connection.id, credentials))
        except GatewayError as error:
            # The new credentials are good and stored; closed, so that the next call opens it with them.
            await self._close(connection)
            return await self.mark(connection.id, ConnectionState.UNREACHABLE, error.message)
        return await self._accepted(connection, account)

    async def _accepted(self, connection: Connection, account: str) -> Connection:
        accepted = replace(
            connection,
            account=account or connection.account,
            state=ConnectionState.ACTIVE,
            message="",
            verified_at=self._clock.now(),
        )
        is_news = replace(accepted, verified_at=connection.verified_at) != connection
        if is_news or connection.verified_at is None or self._clock.now() - connection.verified_at >= VERIFIED_TIME:
            await self._store.save(accepted)
        return accepted

    async def _close(self, connection: Connection) -> None:
        with contextlib.suppress(GatewayError, TimeoutError):
            async with asyncio.timeout(CLOSE_TIME.total_seconds()):
                await self._access.close(connection.connector_id, connection.id)


async def _answer(call: Awaitable[Answer]) -> Answer:
    try:
        async with asyncio.timeout(ANSWER_TIME.total_seconds()):
            return await call
    except TimeoutError as error:
        seconds = ANSWER_TIME.total_seconds()
        raise PlatformTimeout(f"the platform did not answer within {seconds:g} s; try again") from error


def _taken(name: str) -> Violation:
    return Violation("name", f"{name!r} is the name of another connection; choose another")
