"""Takes credentials out of what connectors say: authors echo what platforms answer, and platforms what they got."""

from __future__ import annotations

from collections.abc import Collection

from gateway.errors import GatewayError, Violation

BLOT = "***"

SHORTEST = 6
"""Blotting out anything shorter would hit ordinary words."""


def blot(error: GatewayError, secrets: Collection[str]) -> None:
    """Take secrets out of all that an error says."""

    def clean(text: str) -> str:
        for secret in secrets:
            if len(secret) >= SHORTEST:
                text = text.replace(secret, BLOT)
        return text

    error.message = clean(error.message)
    error.args = (error.message,)
    error.violations = tuple(Violation(clean(one.field), clean(one.description)) for one in error.violations)
    error.metadata = {clean(key): clean(value) for key, value in error.metadata.items()}
