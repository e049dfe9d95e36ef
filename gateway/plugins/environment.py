"""What a connector's process may know of the gateway's environment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")
ALLOWED = frozenset(
    {"PATH", "HOME", "LANG", "TMPDIR", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR"}
    | set(_PROXIES)
    | {name.lower() for name in _PROXIES}
)
"""Variables that every connector gets; everything else must be declared in its manifest."""


def child_environment(environment: Mapping[str, str], declared: Iterable[str]) -> dict[str, str]:
    """Return the variables that are allowed or declared, and `LC_*`."""
    allowed = ALLOWED | set(declared)
    return {key: value for key, value in environment.items() if key in allowed or key.startswith("LC_")}
