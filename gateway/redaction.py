"""Blots credentials out of text, in the forms in which programs write them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from typing import cast
from urllib.parse import quote, quote_plus

MIN_CHARS = 6
"""Shorter values, and shorter pieces of a value, are not blotted out: they would blot out ordinary words."""

MIN_LINE_CHARS = 16
"""Shorter lines of a value of several lines, as keys in PEM files are, are not blotted out by themselves."""

REDACTED = "[redacted]"

MOST_SEARCH_BYTES = 64 * 1024**2
"""Memory for looking for credentials' ends, which tens of thousands of them fit into."""

Redact = Callable[[str], str]
"""Blots credentials out of one text."""


class Redactor:
    """Blot out every value that it was ever told: a job that began with old credentials may still print those."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        self._spellings: list[str] = []
        self._has_trace: Callable[[str], object] = lambda text: None
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Blot out these values, too."""
        fresh = {secret for secret in secrets if len(secret) >= MIN_CHARS} - self._secrets
        if fresh:
            self._secrets |= fresh
            found = {spelling for secret in self._secrets for spelling in _spellings(secret)}
            # Longest first, so that a value that contains another is blotted out whole.
            self._spellings = sorted(found, key=len, reverse=True)
            self._has_trace = _search({end for known in found for end in (known[:MIN_CHARS], known[-MIN_CHARS:])})

    def text(self, text: str) -> str:
        """Blot the values out of one text."""
        return self((text,))[0]

    def __call__(self, texts: Sequence[str]) -> Sequence[str]:
        """Blot the values out of lines; one that a line break or a limit of size cut in two counts as well.

        Where there are none, the lines are returned as they are.
        """
        # Almost never is there anything to blot out, and one look at all lines is the cheapest way to know.
        if not self._has_trace("\n".join(texts)):
            return texts
        return [_blot(text, self._spellings) if self._has_trace(text) else text for text in texts]


def _search(words: Iterable[str]) -> Callable[[str], object]:
    """Make a search for any of some words; RE2 needs one pass, however many they are."""
    import re2  # not before there are credentials

    options = re2.Options()
    options.never_capture = True
    options.max_mem = MOST_SEARCH_BYTES
    return cast("Callable[[str], object]", re2.compile("|".join(map(re2.escape, sorted(words))), options).search)


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
