"""Where every call enters: who calls, and what is to go wrong with the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from email.utils import formatdate

from aiohttp import web

from connector_sdk.testing.platform.faults import ReplyFault
from connector_sdk.testing.platform.world import World

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

DRIP_PIECES = 8

PAGE = """<!DOCTYPE html>
<html><head><title>{status} Bad Gateway</title><style>{style}</style></head>
<body><h1>{status} Bad Gateway</h1><p>{text}</p><script>window.x = "{style}"</script></body></html>"""


class Gate:
    """Check keys, and spoil answers."""

    def __init__(self, world: World) -> None:
        """Ask `world` for keys and faults."""
        self._world = world

    @web.middleware
    async def pass_through(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a call of the API; the admin's have neither keys nor faults."""
        call = request.match_info.route.name
        if call is None:
            return await handler(request)
        key = self._key(request)
        fault = self._world.take_fault(call)
        if fault is None:
            return self._dated(await self._answer(request, handler, key))
        if fault.is_done or fault.kind in ("half", "drip"):
            answer = await self._answer(request, handler, key)
        else:
            answer = web.Response()
        return await self._spoilt(request, fault, answer)

    def _key(self, request: web.Request) -> str:
        """Return the key of a call, in whatever header a vendor has it."""
        values = [value.removeprefix("Bearer ") for value in request.headers.values()]
        unknown = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return next((value for value in values if value in self._world.keys), unknown)

    async def _answer(self, request: web.Request, handler: Handler, key: str) -> web.StreamResponse:
        account = self._world.keys.get(key)
        if account is None:
            return web.json_response({"error": f"the key {key} is not known"}, status=401)
        request["account"], request["key"] = account, key
        return await handler(request)

    def _dated(self, answer: web.StreamResponse) -> web.StreamResponse:
        if not answer.prepared:
            answer.headers["Date"] = self._date()
        return answer

    def _date(self) -> str:
        return formatdate(self._world.now() + self._world.conditions.clock_skew_seconds, usegmt=True)

    async def _spoilt(self, request: web.Request, fault: ReplyFault, answer: web.StreamResponse) -> web.StreamResponse:
        if fault.kind == "hang":
            await self._world.cleared.wait()
            _cut(request)
            return answer
        if fault.kind in ("half", "drip"):
            return await _in_pieces(request, fault, answer)
        headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
        headers["Date"] = self._date()
        if fault.kind == "page":
            page = PAGE.format(status=fault.status, text=fault.body(), style="x" * 8192)
            return web.Response(status=fault.status, text=page, content_type="text/html", headers=headers)
        return web.json_response({"error": fault.body()}, status=fault.status, headers=headers)


async def _in_pieces(request: web.Request, fault: ReplyFault, answer: web.StreamResponse) -> web.StreamResponse:
    whole = answer.body if isinstance(answer, web.Response) else b""
    assert isinstance(whole, bytes), "only answers with a body can come in pieces"
    told = {name: answer.headers[name] for name in ("ETag", "Content-Range", "Content-Type") if name in answer.headers}
    pieces = web.StreamResponse(status=answer.status, headers=told)
    pieces.content_length = len(whole)
    await pieces.prepare(request)
    if fault.kind == "half":
        await pieces.write(whole[: len(whole) // 2])
        _cut(request)
        return pieces
    size = len(whole) // DRIP_PIECES + 1
    for start in range(0, len(whole), size):
        await pieces.write(whole[start : start + size])
        await asyncio.sleep(fault.seconds / DRIP_PIECES)
    await pieces.write_eof()
    return pieces


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.close()
