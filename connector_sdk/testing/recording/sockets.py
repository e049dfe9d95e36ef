"""WebSockets: pass their messages on and keep them, and play them again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from connector_sdk.testing.recording.answers import cut_off
from connector_sdk.testing.recording.cassette import Exchange, Frame
from connector_sdk.testing.recording.exchange import Answered, Message, Recorded

CLOSE_SECONDS = 5.0  # a platform that does not answer a close is left
PROTOCOLS = "Sec-WebSocket-Protocol"
BROKEN = 1006  # what a side is told whose connection went away without a close
OPENED = 101

Side = Literal["connector", "platform"]
Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


async def relay(session: aiohttp.ClientSession, request: web.BaseRequest, exchange: Recorded) -> web.StreamResponse:
    """Open the platform's WebSocket, and pass on what either side says until one of them closes it."""
    protocols = tuple(part.strip() for part in request.headers.get(PROTOCOLS, "").split(",") if part.strip())
    url, headers = URL(exchange.asked.url, encoded=True), list(exchange.asked.headers)
    try:
        theirs = await session.ws_connect(url, headers=CIMultiDict(headers), protocols=protocols, max_msg_size=0)
    except aiohttp.WSServerHandshakeError as refusal:
        exchange.answered = Answered(status=refusal.status, headers=(), is_cut=False)
        return web.Response(status=refusal.status)
    exchange.answered = Answered(status=OPENED, headers=(), is_cut=False)
    ours = _ours((theirs.protocol,) if theirs.protocol else ())
    async with theirs:
        await ours.prepare(request)
        sides = (_pass_on("platform", theirs, ours, exchange), _pass_on("connector", ours, theirs, exchange))
        platform, _ = tasks = [asyncio.ensure_future(side) for side in sides]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            is_platforms = platform.done()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        code = (theirs if is_platforms else ours).close_code
        exchange.close_code = None if code == BROKEN else code
        if exchange.close_code is None:
            return cut_off(request)
        await (ours if is_platforms else theirs).close(code=exchange.close_code)
    return ours


async def _pass_on(by: Side, reader: Socket, writer: Socket, exchange: Recorded) -> None:
    async for message in reader:
        if message.type is aiohttp.WSMsgType.TEXT:
            exchange.messages.append(Message(by, message.data.encode(), is_text=True))
            await writer.send_str(message.data)
        elif message.type is aiohttp.WSMsgType.BINARY:
            exchange.messages.append(Message(by, message.data, is_text=False))
            await writer.send_bytes(message.data)


async def play(
    request: web.BaseRequest, exchange: Exchange, fits: Callable[[Frame, Message], bool]
) -> web.StreamResponse:
    """Say what the platform said, and wait for what the connector said; what does not fit ends it."""
    if exchange.answer.status != OPENED:
        return web.Response(status=exchange.answer.status)
    offered = request.headers.get(PROTOCOLS, "").split(",")
    ours = _ours(tuple(part.strip() for part in offered if part.strip()))
    await ours.prepare(request)
    for frame in exchange.frames:
        if frame.by == "platform":
            await _say(ours, frame)
            continue
        message = await _heard(ours)
        if message is None:
            return ours  # the connector has left, and says itself whether that is an error
        if not fits(frame, message):
            await ours.close(code=aiohttp.WSCloseCode.POLICY_VIOLATION, message=b"another message was recorded")
            return ours
    if exchange.close_code is None:
        return cut_off(request)
    await ours.close(code=exchange.close_code)
    return ours


async def _say(ours: web.WebSocketResponse, frame: Frame) -> None:
    data = b"".join(frame.body.pieces()) if frame.body is not None else b""
    await (ours.send_str(data.decode()) if frame.is_text else ours.send_bytes(data))


async def _heard(ours: web.WebSocketResponse) -> Message | None:
    message = await ours.receive()
    match message.type:
        case aiohttp.WSMsgType.TEXT:
            return Message("connector", message.data.encode(), is_text=True)
        case aiohttp.WSMsgType.BINARY:
            return Message("connector", message.data, is_text=False)
        case _:
            return None


def _ours(protocols: tuple[str, ...]) -> web.WebSocketResponse:
    return web.WebSocketResponse(protocols=protocols, timeout=CLOSE_SECONDS, max_msg_size=0)
