"""What a request or an answer carries, as a cassette shows it: so that people can read it and see what changed."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, JsonValue

LARGEST_SHOWN_BYTES = 64 * 1024
"""Beyond this, a request's binary body is known by its digest alone: an uploaded adapter is no reading matter."""


_SEPARATORS = {"compact": (",", ":"), "spaced": (", ", ": ")}


class _Shown(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class JsonBody(_Shown):
    """JSON."""

    data: JsonValue = Field(validation_alias="json", serialization_alias="json")
    form: Literal["compact", "spaced"] = "compact"
    """Whether there are spaces behind commas and colons."""

    def pieces(self) -> list[bytes]:
        """Return what goes over the wire."""
        return [json.dumps(self.data, ensure_ascii=False, separators=_SEPARATORS[self.form]).encode()]


class TextBody(_Shown):
    """Text, by its lines."""

    lines: list[str]

    def pieces(self) -> list[bytes]:
        """Return what goes over the wire."""
        return ["\n".join(self.lines).encode()]


class StreamBody(_Shown):
    """Text that came piece by piece."""

    chunks: list[str]

    def pieces(self) -> list[bytes]:
        """Return what goes over the wire."""
        return [chunk.encode() for chunk in self.chunks]


class BinaryBody(_Shown):
    """Bytes that are no text."""

    base64: str

    def pieces(self) -> list[bytes]:
        """Return what goes over the wire."""
        return [base64.b64decode(self.base64)]


class DigestBody(_Shown):
    """Bytes that were sent and need not be kept."""

    sha256: str
    size: int


AnswerBody = JsonBody | TextBody | StreamBody | BinaryBody
RequestBody = JsonBody | TextBody | BinaryBody | DigestBody


def shown(data: bytes, *, is_json: bool = True) -> JsonBody | TextBody | BinaryBody | None:
    """Show bytes as JSON or text where they are; None = there are none.

    Without `is_json`, they are shown as JSON only where not a byte is lost: a file may have a checksum.
    """
    if not data:
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return BinaryBody(base64=base64.b64encode(data).decode())
    exact = TextBody(lines=text.split("\n"))
    try:
        value: JsonValue = json.loads(text, parse_constant=_refuse)
    except ValueError:
        return exact
    forms = (JsonBody(data=value), JsonBody(data=value, form="spaced"))
    return next((body for body in forms if body.pieces() == [data]), forms[0] if is_json else exact)


def shown_request(data: bytes) -> RequestBody | None:
    """Show the body of a request; one that is large and no text by its digest."""
    body = shown(data)
    if isinstance(body, BinaryBody) and len(data) > LARGEST_SHOWN_BYTES:
        return DigestBody(sha256=hashlib.sha256(data).hexdigest(), size=len(data))
    # It is compared by its values, and sent to nobody.
    return JsonBody(data=body.data) if isinstance(body, JsonBody) else body


def shown_answer(pieces: Sequence[bytes], *, is_json: bool) -> AnswerBody | None:
    """Show the body of an answer; one of several pieces of text by its pieces."""
    body = shown(b"".join(pieces), is_json=is_json)
    if not isinstance(body, TextBody) or len(pieces) < 2:
        return body
    try:
        return StreamBody(chunks=[piece.decode() for piece in pieces])
    except UnicodeDecodeError:
        return body


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
