"""When a request is one that was recorded, and how two requests differ.

Method, address, query (in any order), `Range` and body (JSON by its values, forms by their fields) must be the same.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from pydantic import JsonValue
from yarl import URL

from connector_sdk.testing.recording.bodies import JsonBody, TextBody
from connector_sdk.testing.recording.cassette import Frame, Request

MATCHED_HEADERS = frozenset({"range"})
FORM = "application/x-www-form-urlencoded"
LONGEST_SHOWN_CHARS = 300  # of a request, in a message that is read by people
SHOWN_DIFFERENCES = 8

Fields = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Likeness:
    """Compare requests by their fields, such as `method`, `address`, `query.after` and `body.config.rank`."""

    ignore: frozenset[str]
    """Parameters and fields that may be another one in each run."""

    def fields(self, request: Request) -> Fields:
        """Return all that must be the same."""
        parts = urlsplit(request.url)
        plain = str(URL(parts._replace(query="", fragment="").geturl()))
        found = [("method", request.method), ("address", plain), *self._query(parts.query)]
        found += [
            (f"header {name}", str(value)) for name, value in request.headers.items() if name.lower() in MATCHED_HEADERS
        ]
        return dict(_numbered([*found, *self._body(request)]))

    def frame_fields(self, frame: Frame) -> Fields:
        """Return all that must be the same of a WebSocket's message."""
        if isinstance(frame.body, JsonBody):
            return dict(self._json("message", frame.body.data))
        return {"message": frame.model_dump_json(include={"body"})}

    def _query(self, query: str) -> Iterator[tuple[str, str]]:
        for name, value in sorted(parse_qsl(query, keep_blank_values=True)):
            if name not in self.ignore:
                yield f"query.{name}", value

    def _body(self, request: Request) -> Iterator[tuple[str, str]]:
        match request.body:
            case None:
                return
            case JsonBody(data=data):
                yield from self._json("body", data)
            case TextBody(lines=[line]) if str(request.headers.get("Content-Type", "")).startswith(FORM):
                pairs = sorted(parse_qsl(line, keep_blank_values=True))
                yield from ((f"body.{name}", value) for name, value in pairs if name not in self.ignore)
            case TextBody(lines=lines):
                yield "body", "\n".join(lines)
            case other:
                yield "body", other.model_dump_json()

    def _json(self, path: str, value: JsonValue) -> Iterator[tuple[str, str]]:
        if isinstance(value, dict):
            value = {name: inner for name, inner in value.items() if name not in self.ignore}
        if isinstance(value, dict) and value:
            for name, inner in sorted(value.items()):
                yield from self._json(f"{path}.{name if name.isidentifier() else json.dumps(name)}", inner)
        elif isinstance(value, list) and value:
            for number, inner in enumerate(value):
                yield from self._json(f"{path}[{number}]", inner)
        else:
            yield path, json.dumps(value, ensure_ascii=False)


def differences(now: Fields, then: Fields) -> list[str]:
    """Say in what two requests differ, one sentence each."""
    said = []
    for name in [*then, *(name for name in now if name not in then)]:
        if name not in now:
            said.append(f"{name} is missing, and was {_short(then[name])}")
        elif name not in then:
            said.append(f"{name} is {_short(now[name])}, and was not there")
        elif now[name] != then[name]:
            said.append(f"{name} is {_short(now[name])}, and was {_short(then[name])}")
    return said[:SHOWN_DIFFERENCES] + (["…"] if len(said) > SHOWN_DIFFERENCES else [])


def nearest(now: Fields, recorded: Sequence[Fields]) -> int | None:
    """Return the number of the recorded request that is most like one; None = there is none."""
    text = _flat(now)

    def likeness(number: int) -> tuple[bool, float]:
        then = recorded[number]
        is_same_call = (now["method"], now["address"]) == (then["method"], then["address"])
        return is_same_call, difflib.SequenceMatcher(None, text, _flat(then), autojunk=False).ratio()

    return max(range(len(recorded)), key=likeness, default=None)


def summary(request: Request) -> str:
    """Show a request in a line."""
    body = "" if request.body is None else f" {request.body.model_dump_json()}"
    if isinstance(request.body, JsonBody):
        body = f" {json.dumps(request.body.data, ensure_ascii=False)}"
    return _short(f"{request.method} {request.url}{body}")


def _numbered(pairs: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Keep fields that come twice, as a list in a query does."""
    seen: dict[str, int] = {}
    for name, value in pairs:
        seen[name] = seen.get(name, 0) + 1
        yield (name if seen[name] == 1 else f"{name}#{seen[name]}"), value


def _flat(fields: Fields) -> str:
    return "\n".join(f"{name} {_short(value)}" for name, value in fields.items())[: 10 * LONGEST_SHOWN_CHARS]


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN_CHARS else f"{text[:LONGEST_SHOWN_CHARS]}…"
