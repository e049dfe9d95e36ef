"""Connections: accounts on platforms."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ConnectionState(StrEnum):
    """Whether a connection can be used."""

    ACTIVE = "ACTIVE"
    NEEDS_AUTH = "NEEDS_AUTH"
    UNREACHABLE = "UNREACHABLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One account on one platform. Credentials are elsewhere, encrypted."""

    id: str
    connector_id: str
    name: str
    created_at: datetime
    account: str = ""
    state: ConnectionState = ConnectionState.ACTIVE
    message: str = ""
    verified_at: datetime | None = None
