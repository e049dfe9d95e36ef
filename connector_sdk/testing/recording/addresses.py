"""Lead a connector here instead of to the platform, and the platform's own links as well."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlsplit

HTTP_SCHEMES = ("http", "https")


def origin(url: str) -> str:
    """Return `scheme://host:port` of an HTTP address; empty = it is none."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme in HTTP_SCHEMES and parts.netloc else ""


class Addresses:
    """Where each platform is found here: the first at the root, others below `/@host`."""

    def __init__(self, platforms: Sequence[str], local: str) -> None:
        """Stand in for `platforms` at the address `local`."""
        self.local = local
        origins = list(dict.fromkeys(map(origin, platforms)))
        pairs = [
            (there, local if number == 0 else f"{local}/@{there.partition('://')[2]}")
            for number, there in enumerate(origins)
        ]
        both = [*pairs, *((_socket(there), _socket(here)) for there, here in pairs)]
        spelled = [pair for there, here in both for pair in zip(_spellings(there), _spellings(here), strict=True)]
        self._to_local = _Swap(dict(spelled))
        self._to_platform = _Swap({here: there for there, here in spelled})

    def platform_url(self, target: str) -> str:
        """Return whose address a request's target is: a path, or a whole address where this is used as a proxy."""
        if origin(target) not in ("", self.local):
            return target
        return self.restored((self.local + target.removeprefix(self.local)).encode()).decode()

    def localised(self, data: bytes) -> bytes:
        """Return an answer's bytes with the platform's addresses replaced by those here."""
        return self._to_local(data)

    def restored(self, data: bytes) -> bytes:
        """Return a request's bytes with the addresses here replaced by the platform's."""
        return self._to_platform(data)

    def local_text(self, text: str) -> str:
        """Return the same of a text."""
        return self.localised(text.encode()).decode()

    def platform_text(self, text: str) -> str:
        """Return a text with the addresses here replaced by the platform's."""
        return self.restored(text.encode()).decode()


def _socket(url: str) -> str:
    return "ws" + url.removeprefix("http")


def _spellings(url: str) -> list[bytes]:
    return [url.encode(), quote(url, safe="").encode(), json.dumps(url)[1:-1].replace("/", "\\/").encode()]


class _Swap:
    """Replace some addresses by others in one pass, so that none is replaced twice."""

    def __init__(self, others: Mapping[bytes, bytes]) -> None:
        self._others = others
        # The longest first: what is below `/@host` begins with the root. Behind it, a host or a port may not go on.
        known = b"|".join(map(re.escape, sorted(others, key=len, reverse=True)))
        self._known = re.compile(rb"(?:%s)(?![\w-]|[.:]\w)" % known)

    def __call__(self, data: bytes) -> bytes:
        return self._known.sub(lambda match: self._others[match[0]], data)
