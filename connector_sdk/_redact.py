"""Keep credentials out of everything that leaves the process as text."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextvars import ContextVar
from urllib.parse import quote, quote_plus

MARK = "[redacted]"
SHORTEST_SECRET_CHARS = 4  # shorter values would blot out ordinary words


class Secrets:
    """Know the credential values of every open connection, and of the call under way."""

    def __init__(self) -> None:
        """Start without secrets."""
        self._by_connection: dict[str, frozenset[str]] = {}
        self._of_call: ContextVar[frozenset[str]] = ContextVar("secrets_of_call", default=frozenset())

    def hide_during_call(self, values: Iterable[str]) -> None:
        """Redact `values` from what the current call says, also once it has failed."""
        self._of_call.set(spellings(values))

    def remember(self, connection_id: str, values: Iterable[str]) -> None:
        """Redact `values` for as long as the connection is open, with those of before: they are still about."""
        self._by_connection[connection_id] = self._by_connection.get(connection_id, frozenset()) | spellings(values)

    def forget(self, connection_id: str) -> None:
        """Drop the values of a closed connection."""
        self._by_connection.pop(connection_id, None)

    def redact(self, text: str) -> str:
        """Return `text` with every known secret replaced."""
        known = self._of_call.get().union(*self._by_connection.values())
        for value in sorted(known, key=len, reverse=True):
            text = text.replace(value, MARK)
        return text


def spellings(values: Iterable[str]) -> frozenset[str]:
    """Add the forms that a secret takes within URLs and JSON."""
    found: set[str] = set()
    for value in values:
        if len(value) >= SHORTEST_SECRET_CHARS:
            escaped = json.dumps(value)[1:-1]
            # Many programs escape slashes as well.
            found |= {value, escaped, escaped.replace("/", "\\/"), json.dumps(value, ensure_ascii=False)[1:-1]}
            found |= {quote(value), quote(value, safe=""), quote_plus(value)}
    return frozenset(found)
