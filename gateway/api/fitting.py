"""Answers that every gRPC client accepts, whatever is in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from google.protobuf.message import Message

MESSAGE_BYTES = 3 * 1024 * 1024
"""A client refuses more than 4 MiB where nobody told it otherwise."""

MessageT = TypeVar("MessageT", bound=Message)


def fitting(messages: Iterable[MessageT]) -> Iterator[MessageT]:
    """Yield the first messages, as many as fit into one answer; at least one."""
    taken = 0
    for message in messages:
        taken += message.ByteSize()
        if taken > MESSAGE_BYTES and taken > message.ByteSize():
            return
        yield message
