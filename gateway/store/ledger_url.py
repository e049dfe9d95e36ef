"""The URL of a ledger on a PostgreSQL server, which may hold a password and is therefore never shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from gateway.errors import InvalidRequest

_SCHEMES = ("postgresql", "postgres")
_FORM = "must look like postgresql://USER@HOST/DATABASE; in a password, / is written as %2F, @ as %40, # as %23"


@dataclass(frozen=True, slots=True)
class LedgerUrl:
    """Where a ledger is."""

    text: str = field(repr=False)
    has_password: bool
    where: str
    """What people call it; without user and password."""

    @classmethod
    def parse(cls, text: str) -> LedgerUrl:
        """Read a URL.

        Raises:
            InvalidRequest: It is none of PostgreSQL; the text is not repeated, because it may hold a password.

        """
        try:
            parts = urlsplit(text)
            query = parse_qs(parts.query)
            host = parts.hostname or query.get("host", ["localhost"])[0]
            port = f":{parts.port}" if parts.port else ""
        except ValueError as error:
            raise InvalidRequest.of("ledger", _FORM) from error
        if parts.scheme not in _SCHEMES or parts.fragment:
            raise InvalidRequest.of("ledger", _FORM)
        name = parts.path.removeprefix("/") or query.get("dbname", query.get("database", [""]))[0]
        where = f"the PostgreSQL ledger {name!r} at {host}{port}"
        return cls(text, bool(parts.password or query.get("password")), where)
