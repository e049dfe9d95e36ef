"""Turn what went over the wire into what a cassette may hold: without secrets, and the same for the same request."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

from pydantic import JsonValue

from connector_sdk.testing.recording.blots import Blots
from connector_sdk.testing.recording.bodies import JsonBody, shown, shown_answer, shown_request
from connector_sdk.testing.recording.cassette import Answer, Exchange, Frame, Headers, Request
from connector_sdk.testing.recording.exchange import Answered, Asked, Message, Pairs, Recorded, worth_keeping
from connector_sdk.testing.recording.names import PLACEHOLDER, is_secret, is_secret_parameter, placeholder

B = TypeVar("B")

_BOUNDARY = re.compile(r'boundary="?([^";]+)', re.IGNORECASE)
PLAIN_BOUNDARY = "boundary"


class Screen:
    """Show requests and answers without the secrets that are known, and without what secret names stand for."""

    def __init__(self, blots: Blots, hide: frozenset[str] = frozenset()) -> None:
        """Blot `blots` out; `hide` has further names of headers, parameters and fields."""
        self._blots = blots
        self._hide = hide

    def request(self, asked: Asked) -> Request:
        """Show what was asked."""
        asked = _with_plain_boundary(asked)
        return Request(
            method=asked.method,
            url=self._url(asked.url),
            headers=self._headers(worth_keeping(asked.headers)),
            body=self._hidden(shown_request(self._blots(asked.data))),
        )

    def exchange(self, recorded: Recorded, answered: Answered) -> Exchange:
        """Show what was asked and answered."""
        return Exchange(
            request=self.request(recorded.asked),
            answer=self._answer(answered),
            frames=[self.frame(message) for message in recorded.messages],
            close_code=recorded.close_code,
        )

    def frame(self, message: Message) -> Frame:
        """Show one message of a WebSocket."""
        body = shown(self._blots(message.data))
        return Frame(by=message.by, body=self._hidden(body), is_text=message.is_text)

    def _answer(self, answered: Answered) -> Answer:
        kind = next((value for name, value in answered.headers if name.lower() == "content-type"), "")
        body = shown_answer(self._pieces(answered.pieces), is_json="json" in kind)
        headers = self._headers(worth_keeping(answered.headers))
        return Answer(status=answered.status, headers=headers, body=self._hidden(body), is_cut=answered.is_cut)

    def _hidden(self, body: B) -> B | JsonBody:
        return body.model_copy(update={"data": self._json(body.data)}) if isinstance(body, JsonBody) else body

    def _pieces(self, pieces: Sequence[bytes]) -> list[bytes]:
        """Blot pieces out; a secret that is cut in two joins them."""
        each = [self._blots(piece) for piece in pieces]
        whole = self._blots(b"".join(pieces))
        return each if b"".join(each) == whole else [whole]

    def _url(self, url: str) -> str:
        parts = urlsplit(self._blots.text(url))
        pairs = (pair.partition("=") for pair in parts.query.split("&"))
        hidden = (
            f"{name}={placeholder(name)}" if self._is_parameter(name) else name + sign + value
            for name, sign, value in pairs
        )
        return urlunsplit(parts._replace(query="&".join(hidden)))

    def _is_parameter(self, name: str) -> bool:
        return is_secret_parameter(name, self._hide)

    def _headers(self, headers: Pairs) -> Headers:
        kept: dict[str, list[str]] = {}
        for name, value in headers:
            kept.setdefault(name.title(), []).append(self._header(name, value))
        return {name: values[0] if len(values) == 1 else values for name, values in sorted(kept.items())}

    def _header(self, name: str, value: str) -> str:
        if not is_secret(name, self._hide):
            return self._blots.text(value)
        if "cookie" in name.lower():
            return "; ".join(f"{one}={placeholder(one)}" for one in _cookies(name, value))
        scheme, space, secret = value.partition(" ") if name.lower().endswith("authorization") else ("", "", value)
        blotted = self._blots.text(secret or scheme)
        # Which of the credentials it was is worth knowing.
        is_known = re.fullmatch(rf"{PLACEHOLDER}[\w-]+", blotted)
        return f"{scheme if space else ''}{space}{blotted if is_known else placeholder(name.lower())}"

    def _json(self, value: JsonValue) -> JsonValue:
        """Hide texts behind secret names, wherever they are."""
        if isinstance(value, list):
            return [self._json(inner) for inner in value]
        if isinstance(value, dict):
            return {name: self._field(name, inner) for name, inner in value.items()}
        return value

    def _field(self, name: str, value: JsonValue) -> JsonValue:
        return (
            placeholder(name) if isinstance(value, str) and value and is_secret(name, self._hide) else self._json(value)
        )


def _cookies(name: str, value: str) -> list[str]:
    pairs = [one.strip().partition("=")[0] for one in value.split(";")]
    # Behind the cookie that an answer sets, there are its attributes.
    return pairs[:1] if name.lower() == "set-cookie" else pairs


def _with_plain_boundary(asked: Asked) -> Asked:
    """Give a form of several parts the same boundary in every run."""
    kinds = [value for name, value in asked.headers if name.lower() == "content-type"]
    found = _BOUNDARY.search(kinds[0]) if kinds else None
    if found is None:
        return asked
    old = found[1]
    headers = tuple((name, value.replace(old, PLAIN_BOUNDARY)) for name, value in asked.headers)
    data = asked.data.replace(old.encode(), PLAIN_BOUNDARY.encode())
    return Asked(method=asked.method, url=asked.url, headers=headers, data=data)
