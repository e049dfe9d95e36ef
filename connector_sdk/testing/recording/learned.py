"""Secrets that nobody declared: what the platform hands out, and what goes along under a name that says it."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Iterator
from urllib.parse import parse_qsl, urlsplit

from connector_sdk.testing.recording.exchange import Asked, Pairs, Recorded
from connector_sdk.testing.recording.names import is_secret, is_secret_parameter

MIN_CHARS = 12
"""Shorter values are hidden behind their names alone: as words, they may stand anywhere."""


def learned(exchanges: Iterable[Recorded], hide: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Yield the secrets of a recording, each behind the name that it came with."""
    for exchange in exchanges:
        yield from ((name, value) for name, value in _secrets(exchange, hide) if len(value) >= MIN_CHARS)


def _secrets(exchange: Recorded, hide: frozenset[str]) -> Iterator[tuple[str, str]]:
    yield from _in_request(exchange.asked, hide)
    if exchange.answered is not None:
        yield from _in_headers(exchange.answered.headers, hide)
        yield from _in_text(b"".join(exchange.answered.pieces), hide)
    for message in exchange.messages:
        yield from _in_text(message.data, hide)


def _in_request(asked: Asked, hide: frozenset[str]) -> Iterator[tuple[str, str]]:
    yield from _in_headers(asked.headers, hide)
    for name, value in parse_qsl(urlsplit(asked.url).query):
        if is_secret_parameter(name, hide):
            yield name, value
    yield from _in_text(asked.data, hide)


def _in_headers(headers: Pairs, hide: frozenset[str]) -> Iterator[tuple[str, str]]:
    for name, value in headers:
        if not is_secret(name, hide):
            continue
        if "cookie" in name.lower():
            pairs = (one.strip().partition("=") for one in value.split(";"))
            yield from ((cookie, content) for cookie, _, content in pairs)
            continue
        secret = value.rpartition(" ")[2]
        yield name.lower(), secret
        if value.lower().startswith("basic "):
            yield from (("password", part) for part in _decoded(secret).split(":", 1))


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode(errors="replace")
    except binascii.Error:
        return ""


def _in_text(data: bytes, hide: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Look into JSON, or into each line of a stream that is JSON; `data:` begins one of server-sent events."""
    try:
        yield from _in_json(json.loads(data), hide)
    except ValueError:
        for line in data.splitlines():
            try:
                yield from _in_json(json.loads(line.removeprefix(b"data:")), hide)
            except ValueError:
                continue


def _in_json(value: object, hide: frozenset[str]) -> Iterator[tuple[str, str]]:
    match value:
        case dict():
            for name, inner in value.items():
                if isinstance(inner, str) and is_secret(name, hide):
                    yield name, inner
                else:
                    yield from _in_json(inner, hide)
        case list():
            for inner in value:
                yield from _in_json(inner, hide)
        case _:
            return
