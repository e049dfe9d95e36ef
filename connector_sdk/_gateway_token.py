"""Recognise the gateway by the token that its calls carry."""

from __future__ import annotations

import hmac
from collections.abc import Iterable

KEY = "authorization"


class GatewayToken:
    """The token that only the gateway has."""

    def __init__(self, token: str) -> None:
        """Expect `token`."""
        self._expected = f"Bearer {token}".encode()

    def is_in(self, metadata: Iterable[tuple[str, str | bytes]] | None) -> bool:
        """Tell whether a call with this metadata comes from the gateway."""
        for key, value in metadata or ():
            if key == KEY:
                return hmac.compare_digest(value if isinstance(value, bytes) else value.encode(), self._expected)
        return False
