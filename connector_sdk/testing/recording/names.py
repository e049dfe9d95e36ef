"""Which names have secrets behind them, in headers, queries and JSON."""

from __future__ import annotations

import re

PLACEHOLDER = "REDACTED-"
"""Begins what stands for a secret. It needs no escaping in a URL, a header or JSON, so it reads the same everywhere."""

_WHOLE = frozenset({"auth", "jwt", "sig"})
_ENDINGS = (
    "accesskey",
    "accesskeyid",
    "apikey",
    "authkey",
    "authorization",
    "cookie",
    "credential",
    "credentials",
    "passwd",
    "password",
    "privatekey",
    "secret",
    "secretkey",
    "signature",
    "token",
)
_HARMLESS = ("cursortoken", "continuationtoken", "nexttoken", "pagetoken", "submissiontoken", "synctoken")
"""Tokens by name that say where a list goes on, or which submission is meant."""


def placeholder(name: str) -> str:
    """Return what stands for the secret of a name."""
    return PLACEHOLDER + re.sub(r"[^A-Za-z0-9_-]", "-", name)


def is_secret(name: str, hide: frozenset[str] = frozenset()) -> bool:
    """Tell whether the value of a header or a field is a secret; `hide` has further names."""
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    known = plain in _WHOLE or (plain.endswith(_ENDINGS) and not plain.endswith(_HARMLESS))
    return known or name in hide


def is_secret_parameter(name: str, hide: frozenset[str] = frozenset()) -> bool:
    """Tell the same of a query's parameter: `?key=` is a credential, where a field `key` of JSON is mostly none."""
    return name.lower() == "key" or is_secret(name, hide)
