"""WebSockets are recorded message by message, and replayed in step with the connector."""

from __future__ import annotations

import json
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from connector_sdk.http import HttpSession
from connector_sdk.testing.recording import UnansweredError, record_http, replay_http
from tests.support.recorded import Handler, vendor

pytestmark = pytest.mark.wire

TOKEN = "a-token-that-is-not-to-be-kept"


async def echo(request: web.Request) -> web.StreamResponse:
    """Greet, repeat what is said, and close with a code of its own when it is told to."""
    socket = web.WebSocketResponse(protocols=("v2.logs",))
    await socket.prepare(request)
    await socket.send_json({"hello": request.query.get("tail")})
    async for message in socket:
        if message.type is aiohttp.WSMsgType.BINARY:
            await socket.send_bytes(message.data[::-1])
        elif message.data == "leave":
            await socket.close(code=4001)
        elif message.data == "break":
            assert request.transport is not None
            request.transport.close()
        else:
            await socket.send_str(f"{message.data}!")
    return socket


async def talk(url: str, *said: str | bytes, token: str = TOKEN) -> tuple[list[object], int | None, str | None]:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(
            f"{url}/logs?tail=5", protocols=("v2.logs",), headers={"Authorization": f"Bearer {token}"}
        ) as socket,
    ):
        heard: list[object] = [(await socket.receive()).data]
        for one in said:
            await (socket.send_str(one) if isinstance(one, str) else socket.send_bytes(one))
            heard.append((await socket.receive()).data)
        return heard, socket.close_code, socket.protocol


async def recorded(path: Path, handler: Handler, *said: str | bytes) -> tuple[list[object], int | None, str | None]:
    async with vendor(handler) as url:
        with record_http(path, platform=url, credentials={"token": TOKEN}) as recording:
            told = await talk(recording.url, *said)
            recording.check()
    return told


async def test_texts_bytes_codes_and_protocols_are_the_same_again(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    said = (json.dumps({"token": TOKEN}), b"\x00\xff", "leave")
    told = await recorded(path, echo, *said)
    assert told[1:] == (4001, "v2.logs")
    with replay_http(path, credentials={"token": "another-token-of-another-run"}) as replayed:
        heard, *ending = await talk(replayed.url, json.dumps({"token": "another-token-of-another-run"}), *said[1:])
        replayed.check()
    assert (heard[0], heard[2:], tuple(ending)) == (told[0][0], told[0][2:], told[1:])
    assert TOKEN not in path.read_text()
    assert [frame["by"] for frame in json.loads(path.read_text())["exchanges"][0]["frames"]] == [
        *("platform", "connector", "platform", "connector", "platform", "connector"),
    ]


async def test_another_message_than_was_recorded_fails(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    await recorded(path, echo, "one", "leave")
    with replay_http(path) as replayed:
        await talk(replayed.url, "two")
        with pytest.raises(UnansweredError, match=r"WEBSOCKET .*/logs\?tail=5: message is .*two.* and was .*one"):
            replayed.check()


async def test_a_socket_that_breaks_breaks_again(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    assert (await recorded(path, echo, "break"))[1] in (1006, 1011)
    with replay_http(path) as replayed:
        assert (await talk(replayed.url, "break"))[1] == 1006


async def test_a_socket_that_is_refused_is_refused_again(tmp_path: Path) -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=403)

    path = tmp_path / "c.json"
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await recorded(path, refuse)
    async with vendor(refuse) as url:
        with record_http(path, platform=url) as recording, pytest.raises(aiohttp.WSServerHandshakeError):
            await talk(recording.url)
    with replay_http(path) as replayed, pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await talk(replayed.url)
    assert refusal.value.status == 403


async def test_the_sdks_session_follows_a_recorded_log(tmp_path: Path) -> None:
    async def log(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for number in range(3):
            await socket.send_str(f"line {number}")
        await socket.close()
        return socket

    async def follow(url: str) -> list[str]:
        async with HttpSession(url) as http:
            return [line async for line in http.messages("/log")]

    path = tmp_path / "c.json"
    async with vendor(log) as url:
        with record_http(path, platform=url) as recording:
            told = await follow(recording.url)
    with replay_http(path) as replayed:
        assert await follow(replayed.url) == told == ["line 0", "line 1", "line 2"]
