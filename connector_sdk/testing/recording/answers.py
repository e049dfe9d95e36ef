"""Give answers to a connector, as the platform gave them."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web
from multidict import CIMultiDict

from connector_sdk.testing.recording.addresses import Addresses
from connector_sdk.testing.recording.bodies import BinaryBody, StreamBody
from connector_sdk.testing.recording.cassette import Answer, Headers


def headers_for(pairs: Iterable[tuple[str, str]], addresses: Addresses) -> CIMultiDict[str]:
    """Return an answer's headers with the platform's addresses replaced by those here."""
    return CIMultiDict((name, addresses.local_text(value)) for name, value in pairs)


def cut_off(request: web.BaseRequest) -> web.Response:
    """Break off, as a platform does that crashes in the middle of an answer."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()


async def give(request: web.BaseRequest, answer: Answer, addresses: Addresses) -> web.StreamResponse:
    """Give a recorded answer."""
    pieces = answer.body.pieces() if answer.body is not None else []
    if not isinstance(answer.body, BinaryBody):
        pieces = [addresses.localised(piece) for piece in pieces]
    headers = headers_for(_pairs(answer.headers), addresses)
    if not answer.is_cut and not isinstance(answer.body, StreamBody):
        return web.Response(status=answer.status, headers=headers, body=b"".join(pieces) or None)
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    for piece in pieces:
        await response.write(piece)
    if answer.is_cut:
        return cut_off(request)
    await response.write_eof()
    return response


def _pairs(headers: Headers) -> Iterable[tuple[str, str]]:
    for name, values in headers.items():
        yield from ((name, value) for value in ([values] if isinstance(values, str) else values))
