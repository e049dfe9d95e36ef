"""What blots the credentials of each connection out of the logs of its jobs."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.connections.vault import Vault
from gateway.errors import NotFound
from gateway.redaction import Redactor
from gateway.store.connections import ConnectionStore


@dataclass(slots=True)
class _Known:
    redactor: Redactor = field(default_factory=Redactor)
    sealed: tuple[bytes, ...] = ()
    """What it was last told of."""


class Redactors:
    """One for each connection: its jobs may be many, and credentials are decrypted once."""

    def __init__(self, store: ConnectionStore, vault: Vault) -> None:
        self._store = store
        self._vault = vault
        self._known: dict[str, _Known] = {}

    async def of(self, connection_id: str) -> Redactor:
        """Return the one that knows all that jobs may print now: some began with former credentials.

        Raises:
            NotFound: There is no such connection.
            KeyUnusable: The credentials were sealed with another key.

        """
        present = await self._store.sealed(connection_id)
        if present is None:
            self._known.pop(connection_id, None)
            raise NotFound("connection", connection_id)
        sealed = (present, *await self._store.former(connection_id))
        known = self._known.setdefault(connection_id, _Known())
        if known.sealed != sealed:
            for one in sealed:
                known.redactor.learn(self._vault.open(connection_id, one).values())
            known.sealed = sealed
        return known.redactor
