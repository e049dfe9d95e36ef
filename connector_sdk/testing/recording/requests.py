"""Take requests in, whether this stands at the platform's address or is used as a proxy."""

from __future__ import annotations

from aiohttp import web

from connector_sdk.testing.recording.addresses import Addresses
from connector_sdk.testing.recording.cassette import WEBSOCKET
from connector_sdk.testing.recording.exchange import Asked, sent

UNANSWERED = 501
"""The status of what has no answer here. Platforms hardly use it, and nothing asks again after it."""

TUNNEL = """CONNECT asks for a tunnel, through which nothing can be seen: as a proxy, this serves http:// alone.
Point the connector's base URL here instead."""


async def asked_of(request: web.BaseRequest, addresses: Addresses) -> Asked:
    """Return what is asked of the platform."""
    headers = ((name, addresses.platform_text(value)) for name, value in request.headers.items())
    return Asked(
        method=WEBSOCKET if is_websocket(request) else request.method,
        url=addresses.platform_url(request.raw_path),
        headers=sent(headers),
        # Not `request.read()`, which has a limit of size.
        data=addresses.restored(await request.content.read()),
    )


def is_websocket(request: web.BaseRequest) -> bool:
    """Tell whether a WebSocket is to be opened."""
    return request.headers.get("Upgrade", "").lower() == "websocket"


def is_tunnel(request: web.BaseRequest) -> bool:
    """Tell whether a client takes this for a proxy to an https:// address."""
    return request.method == "CONNECT"


def unanswered(text: str) -> web.Response:
    """Answer that there is no answer, and why."""
    return web.Response(status=UNANSWERED, text=f"{text}\n")
