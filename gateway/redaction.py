"""Keeps credentials out of text, in every way that programs write them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from urllib.parse import quote, quote_plus

REDACTED = "[redacted]"

MIN_SECRET_CHARS = 6
"""Shorter values are not redacted: they would blot out ordinary words."""

Redact = Callable[[str], str]


def spellings(secrets: Iterable[str]) -> set[str]:
    """Return the values, and how they look within JSON and URLs."""
    found: set[str] = set()
    for secret in secrets:
        if len(secret) >= MIN_SECRET_CHARS:
            escaped = json.dumps(secret)[1:-1]
            # Many programs escape slashes as well.
            found |= {secret, escaped, escaped.replace("/", "\\/"), json.dumps(secret, ensure_ascii=False)[1:-1]}
            found |= {quote(secret), quote(secret, safe=""), quote_plus(secret)}
    return found


def redactor(secrets: Iterable[str]) -> Redact:
    """Make a function that blots out every one of these values."""
    # Longest first, so that a value that contains another is blotted out whole.
    values = sorted(spellings(secrets), key=len, reverse=True)

    def redact(text: str) -> str:
        for value in values:
            if value in text:
                text = text.replace(value, REDACTED)
        return text

    return redact
