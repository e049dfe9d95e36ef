"""The file that a recording is kept in: JSON with one exchange after the other, in the order of the requests."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from connector_sdk.testing.recording.bodies import AnswerBody, BinaryBody, JsonBody, RequestBody, TextBody

WEBSOCKET = "WEBSOCKET"
"""The method of a request that opened a WebSocket."""

Headers = dict[str, str | list[str]]


class CassetteError(Exception):
    """Say why a cassette cannot be played or written, and what to do."""


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Request(_Kept):
    """What the connector asked."""

    method: str
    url: str
    headers: Headers = {}
    body: RequestBody | None = None


class Answer(_Kept):
    """What the platform answered."""

    status: int
    headers: Headers = {}
    body: AnswerBody | None = None
    is_cut: bool = False
    """The platform broke off, or the connector had read enough."""


class Frame(_Kept):
    """One message of a WebSocket."""

    by: Literal["connector", "platform"]
    body: JsonBody | TextBody | BinaryBody | None = None
    is_text: bool = True


class Exchange(_Kept):
    """A request and what came of it."""

    request: Request
    answer: Answer
    frames: list[Frame] = []
    """What a WebSocket carried."""
    close_code: int | None = None
    """How a WebSocket was closed; None = it broke."""


class Cassette(_Kept):
    """All that was recorded of one test."""

    version: Literal[1] = 1
    platforms: list[str]
    """Where the recorded platform was; the first one is what a connector's base URL stands for."""
    credentials: dict[str, str] = {}
    """What a connector is given when it is played: placeholders where there were secrets."""
    exchanges: list[Exchange]

    def as_text(self) -> str:
        """Return the file's text, the same for the same recording."""
        kept = {"version": self.version, **self.model_dump(by_alias=True, exclude_defaults=True)}
        return json.dumps(kept, indent=2, ensure_ascii=False) + "\n"


def read_cassette(path: Path) -> Cassette:
    """Read a cassette, or raise `CassetteError`."""
    try:
        return Cassette.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise CassetteError(f"There is no cassette {path}: record it against the platform.") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise CassetteError(f"{path} is no cassette ({place}: {first['msg']}): record it again.") from None


def write_cassette(path: Path, text: str) -> None:
    """Write a cassette as a whole, or leave the one that is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
