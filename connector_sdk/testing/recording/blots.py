"""Replace secrets by placeholders, in all forms that HTTP has them in: plain, percent-encoded, in JSON, in base64."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator

from connector_sdk._redact import spellings
from connector_sdk.testing.recording.names import PLACEHOLDER, placeholder

MIN_CHARS = 4
"""Shorter values are left: they would blot out ordinary words."""

MIN_BASE64_CHARS = 6
"""Shorter pieces of base64 say nothing, and are found everywhere."""

_BACKSLASH = rb"(?i:\\|%(?:25)*5c)+"
"""As often as JSON was put into JSON, and percent-encoded where that was put into a URL."""

_BASE64_TAIL = rb"(?:[A-Za-z0-9+_=-]|%2B|%2F|%3D)*"
_BASE64_BYTES = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+_-%")


class Blots:
    """Blot the secrets of some names out of bytes and texts."""

    def __init__(self, secrets: Iterable[tuple[str, str]]) -> None:
        """Know secrets, each behind its name; of two names with one value, the first counts."""
        named = {value: name for name, value in reversed(list(secrets)) if _can_be_found(value)}
        # Longest first, so that a value that contains another is blotted out whole.
        self._values = sorted(named, key=len, reverse=True)
        self._marks = [placeholder(named[value]).encode() for value in self._values]
        self._plain = _one_of([_anyhow(value)] for value in self._values)
        self._encoded = _one_of(
            (map(_anyhow, dict.fromkeys(_in_base64(value))) for value in self._values), _BASE64_TAIL
        )

    def __call__(self, data: bytes) -> bytes:
        """Return `data` with a placeholder for every secret."""
        data = self._plain.sub(self._mark, data) if self._plain else data
        return self._without_base64(data) if self._encoded else data

    def text(self, text: str) -> str:
        """Return `text` with a placeholder for every secret."""
        return self(text.encode(errors="surrogateescape")).decode(errors="surrogateescape")

    def found(self, text: str) -> str:
        """Return the placeholder of a secret that is still in a text, or nothing."""
        for value, mark in zip(self._values, self._marks, strict=True):
            # Spelled out one by one, so that this is no second opinion of the same patterns.
            if any(spelling in text for spelling in (*spellings([value]), *_in_base64(value))):
                return mark.decode()
        return ""

    def _mark(self, match: re.Match[bytes]) -> bytes:
        assert match.lastgroup is not None
        return self._marks[int(match.lastgroup.removeprefix("s"))]

    def _without_base64(self, data: bytes) -> bytes:
        """Replace a secret with all the base64 around it: what its neighbours share bits with depends on it."""
        assert self._encoded is not None
        kept, behind = bytearray(), 0
        for match in self._encoded.finditer(data):
            first = match.start()
            while first > behind and data[first - 1] in _BASE64_BYTES:
                first -= 1
            kept += data[behind:first] + self._mark(match)
            behind = match.end()
        return bytes(kept + data[behind:])


def _can_be_found(value: str) -> bool:
    return len(value) >= MIN_CHARS and not value.startswith(PLACEHOLDER)


def _one_of(forms: Iterable[Iterable[bytes]], tail: bytes = b"") -> re.Pattern[bytes] | None:
    """Match any form of any secret with a tail; the group's name has the secret's number."""
    joined = [(number, b"|".join(some)) for number, some in enumerate(forms)]
    groups = [b"(?P<s%d>(?:%s)%s)" % (number, some, tail) for number, some in joined if some]
    return re.compile(b"|".join(groups)) if groups else None


def _anyhow(text: str) -> bytes:
    """Match a text whichever of its characters are escaped, and how: programs differ in what they leave as it is."""
    letters = frozenset(filter(str.isalnum, filter(str.isascii, text)))  # nobody escapes those
    return b"".join(char.encode() if char in letters else b"(?:%s)" % b"|".join(_forms(char)) for char in text)


def _forms(char: str) -> Iterator[bytes]:
    yield from _in_url(char)
    units = char.encode("utf-16-be")
    yield b"(?i:%s)" % b"".join(_BACKSLASH + b"u" + units[at : at + 2].hex().encode() for at in range(0, len(units), 2))
    escaped = json.dumps(char)[1:-1]
    if char == "/" or (escaped.startswith("\\") and escaped[1] != "u"):
        yield _BACKSLASH + b"(?:%s)" % b"|".join(_in_url(escaped[-1]))
    if (entity := html.escape(char)) != char:
        yield b"".join(b"(?:%s)" % b"|".join(_in_url(part)) for part in entity)


def _in_url(char: str) -> Iterator[bytes]:
    raw = char.encode()
    yield re.escape(raw)
    # Also what was encoded twice, as an address within an address is.
    yield b"(?i:%s)" % b"".join(b"%%(?:25)*%02x" % byte for byte in raw)
    if char == " ":
        yield rb"(?:\+|(?i:%(?:25)*2b))"


def _in_base64(secret: str) -> Iterator[str]:
    """Encode what can be known of a secret's base64 wherever it begins within what is encoded, as `user:password`."""
    for form in dict.fromkeys((secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])):
        data = form.encode()
        for before in range(3):
            encoded = base64.b64encode(b"\0" * before + data)
            # Characters that also depend on what stands around are left out.
            known = encoded[-(-before * 8 // 6) : (before + len(data)) * 8 // 6].decode()
            if len(known) >= MIN_BASE64_CHARS:
                yield known
                yield known.translate({ord("+"): "-", ord("/"): "_"})
