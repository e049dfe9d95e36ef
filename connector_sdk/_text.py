"""Make any text fit for a protobuf string field."""

from __future__ import annotations

ELLIPSIS = "…"


def clean(text: str) -> str:
    """Replace what has no place in UTF-8, such as lone surrogates."""
    return text.encode("utf-8", "replace").decode("utf-8")


def cut(text: str, limit_bytes: int) -> str:
    """Return `text` as valid UTF-8 of at most `limit_bytes`, with an ellipsis where something is missing."""
    data = text.encode("utf-8", "replace")
    if len(data) <= limit_bytes:
        return data.decode("utf-8")
    return data[: limit_bytes - len(ELLIPSIS.encode())].decode("utf-8", "ignore") + ELLIPSIS
