"""What went over the wire, as it was: with secrets, in memory alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

_TEXTS = ("text/", "json", "xml", "javascript")

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request as it goes to the platform."""

    method: str
    url: str
    headers: Pairs
    data: bytes = b""


@dataclass(slots=True, kw_only=True)
class Answered:
    """An answer as it came, whole or in part."""

    status: int
    headers: Pairs
    pieces: list[bytes] = field(default_factory=list)
    is_cut: bool = True
    """Until the end has come."""

    @property
    def is_text(self) -> bool:
        """Whether addresses in it may be replaced."""
        kind = next((value for name, value in self.headers if name.lower() == "content-type"), "")
        return any(word in kind for word in _TEXTS)


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a WebSocket."""

    by: Literal["connector", "platform"]
    data: bytes
    is_text: bool


@dataclass(slots=True, kw_only=True)
class Recorded:
    """A request, and what has come of it so far."""

    asked: Asked
    answered: Answered | None = None
    messages: list[Message] = field(default_factory=list)
    close_code: int | None = None


_FRAMING = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_CLIENTS = frozenset({"accept-encoding", "expect", "host"})
_NOISE = frozenset({"accept", "server", "user-agent", "via", "x-powered-by"})
"""Say who speaks, and not what."""


def told(headers: Iterable[tuple[str, str]], *, method: str = "") -> Pairs:
    """Keep the headers of an answer that are not about its transport; to HEAD, the size is what is asked for."""
    framing = _FRAMING - {"content-length"} if method == "HEAD" else _FRAMING
    return tuple((name, value) for name, value in headers if name.lower() not in framing)


def sent(headers: Iterable[tuple[str, str]]) -> Pairs:
    """Keep the headers of a request that are meant for the platform."""
    return tuple((name, value) for name, value in headers if not _is_the_clients(name.lower()))


def worth_keeping(headers: Pairs) -> Pairs:
    """Keep the headers that say something about a request or an answer."""
    return tuple((name, value) for name, value in headers if name.lower() not in _NOISE)


def _is_the_clients(name: str) -> bool:
    return name in _FRAMING or name in _CLIENTS or name.startswith("sec-websocket-")
