"""Keep one connector object per open connection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakValueDictionary

from connector_sdk._describe import required_credentials
from connector_sdk._redact import Secrets
from connector_sdk._spool import SPOOL, ArtifactSpool
from connector_sdk.connector import PlatformConnector, overrides
from connector_sdk.errors import CredentialsRejectedError, InvalidConfigError, NotConnectedError
from connector_sdk.models import FieldViolation

logger = logging.getLogger(__name__)

DISCONNECT_SECONDS = 5.0  # an author's disconnect may not hold up what comes after it
RETIRE_SECONDS = 120.0  # a submission under way may take so long; it must not be cut by a rotation of credentials

Factory = Callable[[], PlatformConnector]


@dataclass(frozen=True, slots=True)
class Connection:
    """One account of one platform."""

    connector: PlatformConnector
    credentials: Mapping[str, str]
    spool: ArtifactSpool
    users: set[asyncio.Task[object]] = field(default_factory=set)
    """The calls under way."""


class Connections:
    """Open, find and close connections. Opening and closing one connection are serialised; nothing else is."""

    def __init__(self, factory: Factory, secrets: Secrets, work_dir: Path) -> None:
        """Make connector objects with `factory`; let them keep files in `work_dir`."""
        self._factory = factory
        self._secrets = secrets
        self._work_dir = work_dir
        self._open: dict[str, Connection] = {}
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._retiring: set[asyncio.Task[None]] = set()

    def get(self, connection_id: str) -> Connection:
        """Give an open connection to the call under way, or raise `NotConnectedError`."""
        try:
            connection = self._open[connection_id]
        except KeyError:
            raise NotConnectedError from None
        if (user := asyncio.current_task()) is not None:
            connection.users.add(user)
            user.add_done_callback(connection.users.discard)
        return connection

    def redact(self, text: str) -> str:
        """Return `text` without the credentials of any connection."""
        return self._secrets.redact(text)

    async def open(self, connection_id: str, credentials: Mapping[str, str]) -> str:
        """Connect, in place of what was open under this id, and return whose account it is."""
        # The only lock that is held across a network await: a second Connect must see what the first one left.
        async with self._turn(connection_id):
            connector = await self._connected(credentials)
            before = self._open.get(connection_id)
            self._open[connection_id] = Connection(
                connector, dict(credentials), ArtifactSpool(connector, self._work_dir / SPOOL)
            )
            self._secrets.remember(connection_id, credentials.values())
            if before:
                await self._retire(before)
        return account_of(connector)

    async def close(self, connection_id: str) -> None:
        """Disconnect and forget; nothing happens where nothing is open."""
        async with self._turn(connection_id):
            connection = self._open.pop(connection_id, None)
            if connection:
                self._secrets.hide_during_call(connection.credentials.values())
                await _close(connection)
            self._secrets.forget(connection_id)

    async def close_all(self) -> None:
        """Disconnect everything, side by side."""
        retiring = list(self._retiring)
        for task in retiring:
            task.cancel()
        await asyncio.gather(*retiring, return_exceptions=True)
        async with asyncio.TaskGroup() as closing:
            for connection_id in list(self._open):
                closing.create_task(self.close(connection_id))

    async def _retire(self, connection: Connection) -> None:
        """Close what was replaced; calls that are under way with it may end first."""
        if not connection.users:
            await _close(connection)
            return
        task = asyncio.create_task(_close_behind(connection))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def verify(self, connection_id: str) -> str:
        """Ask the platform whether the credentials still hold, and return whose account it is."""
        connection = self.get(connection_id)
        if not overrides(connection.connector, "verify_connection"):
            probe = await self._connected(connection.credentials)
            await _disconnect(probe)
            return account_of(probe)
        if not await connection.connector.verify_connection():
            raise CredentialsRejectedError
        return account_of(connection.connector)

    async def _connected(self, credentials: Mapping[str, str]) -> PlatformConnector:
        self._secrets.hide_during_call(credentials.values())
        connector = self._factory()
        connector.work_dir = self._work_dir
        missing = [name for name in required_credentials(connector) if not credentials.get(name)]
        if missing:
            violations = [FieldViolation(field=f"credentials.{name}", description="is required") for name in missing]
            raise InvalidConfigError(violations)
        try:
            # Only False is a refusal: connect methods without a return statement exist.
            if await connector.connect(dict(credentials)) is False:
                raise CredentialsRejectedError
        except BaseException:
            await _disconnect(connector)
            raise
        return connector

    def _turn(self, connection_id: str) -> asyncio.Lock:
        return self._turns.setdefault(connection_id, asyncio.Lock())


def account_of(connector: PlatformConnector) -> str:
    """Give the account's name, where the author keeps a text under that name."""
    account: object = connector.account
    return account if isinstance(account, str) else ""


async def _close_behind(connection: Connection) -> None:
    try:
        await asyncio.wait(connection.users, timeout=RETIRE_SECONDS)
    finally:
        await _close(connection)


async def _close(connection: Connection) -> None:
    await connection.spool.close()
    await _disconnect(connection.connector)


async def _disconnect(connector: PlatformConnector) -> None:
    with suppress(TimeoutError):
        try:
            async with asyncio.timeout(DISCONNECT_SECONDS):
                await connector.disconnect()
        except Exception:
            # The connection is closed for the gateway either way; only the author can do something about this.
            logger.exception("disconnect failed")
