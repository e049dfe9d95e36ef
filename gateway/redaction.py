"""Blots credentials out of text, in the forms in which programs write them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import quote, quote_plus

MIN_CHARS = 6
"""Shorter values, and shorter pieces of a value, are not blotted out: they would blot out ordinary words."""

MIN_LINE_CHARS = 16
"""Shorter lines of a value of several lines, as keys in PEM files are, are not blotted out by themselves."""

REDACTED = "[redacted]"

Redact = Callable[[str], str]
"""Blots credentials out of one text."""


class Redactor:
    """Blot out every value that it was ever told: a job that began with old credentials may still print those."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        self._spellings: list[str] = []
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Blot out these values, too."""
        fresh = {secret for secret in secrets if len(secret) >= MIN_CHARS} - self._secrets
        if fresh:
            self._secrets |= fresh
            found = {spelling for secret in self._secrets for spelling in _spellings(secret)}
            # Longest first, so that a value that contains another is blotted out whole.
            self._spellings = sorted(found, key=len, reverse=True)

    def text(self, text: str) -> str:
        """Blot the values out of one text."""
        return self((text,))[0]

    def __call__(self, texts: Sequence[str]) -> Sequence[str]:
        """Blot the values out of lines; one that a line break or a limit of size cut in two counts as well."""
        # Almost never is there anything to blot out, and one look at all lines is the cheapest way to know.
        joined = "\n".join(texts)
        present = [known for known in self._spellings if known[:MIN_CHARS] in joined or known[-MIN_CHARS:] in joined]
        return [_blot(text, present) for text in texts] if present else texts


def _blot(text: str, spellings: Iterable[str]) -> str:
    for spelling in spellings:
        text = text.replace(spelling, REDACTED)
        for size in range(min(len(spelling) - 1, len(text)), MIN_CHARS - 1, -1):
            if text.endswith(spelling[:size]):
                text = text[:-size] + REDACTED
            if text.startswith(spelling[-size:]):
                text = REDACTED + text[size:]
    return text


def _spellings(secret: str) -> Iterable[str]:
    yield secret
    escaped = json.dumps(secret)[1:-1]
    yield escaped
    # Many programs escape slashes as well.
    yield escaped.replace("/", "\\/")
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield quote(secret)
    yield quote(secret, safe="")
    yield quote_plus(secret)
    yield from _in_base64(secret)
    yield from (line for line in secret.splitlines() if len(line) >= MIN_LINE_CHARS)


def _in_base64(secret: str) -> Iterable[str]:
    """Encode what can be known of a secret's base64 wherever it begins within what is encoded, as `user:password`."""
    data = secret.encode()
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + data)
        # Characters that also depend on what stands around are left out.
        first, last = -(-before * 8 // 6), (before + len(data)) * 8 // 6
        known = encoded[first:last].decode()
        if len(known) >= MIN_CHARS:
            yield known
            yield known.translate({ord("+"): "-", ord("/"): "_"})
