"""Pages of lists: sizes, and tokens that are refused when they come back with another question."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from gateway.errors import InvalidRequest

Item = TypeVar("Item")

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000

_encoder = json.JSONEncoder(separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page is wanted."""

    size: int
    after: str
    """Key of the last item of the page before; empty = the first page."""
    question: str
    """What the list is asked for, apart from the page."""

    @classmethod
    def parse(cls, size: int, token: str, question: str = "") -> PageRequest:
        """Read a request's page_size and page_token (AIP-158).

        Raises:
            InvalidRequest: The size is negative, or the token is not one that this question gave.

        """
        if size < 0:
            raise InvalidRequest.of("page_size", f"is {size}; give 0 for {DEFAULT_PAGE_SIZE}, or 1 to {MAX_PAGE_SIZE}")
        return cls(min(size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE), _parse(token, question), question)

    def token(self, last_key: str) -> str:
        """Make the token of the page behind the item with this key."""
        text = _encoder.encode([_digest(self.question), last_key])
        return base64.urlsafe_b64encode(text.encode()).decode()

    def cut(self, items: Sequence[tuple[str, Item]]) -> tuple[list[Item], str]:
        """Take this page out of (key, item) pairs in ascending order of their keys, with the next page's token."""
        behind = [pair for pair in items if pair[0] > self.after] if self.after else list(items)
        page = behind[: self.size]
        return [item for _, item in page], self.token(page[-1][0]) if len(behind) > self.size else ""


def _parse(token: str, question: str) -> str:
    if not token:
        return ""
    try:
        digest, key = json.loads(base64.urlsafe_b64decode(token.encode()))
        if digest == _digest(question) and isinstance(key, str):
            return key
    except (ValueError, binascii.Error, TypeError, RecursionError):
        pass
    raise InvalidRequest.of("page_token", "is not a token that this list gave for these conditions; start without one")


def _digest(question: str) -> str:
    return hashlib.sha256(question.encode()).hexdigest()[:16]
