"""Answers that every gRPC client accepts, whatever is in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

MESSAGE_BYTES = 3 * 1024 * 1024
"""A client refuses more than 4 MiB where nobody told it otherwise."""


def fitting(fields: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the first encoded fields, as many as fit into one answer; at least one."""
    taken = 0
    for field in fields:
        taken += len(field)
        if taken > MESSAGE_BYTES and taken > len(field):
            return
        yield field
