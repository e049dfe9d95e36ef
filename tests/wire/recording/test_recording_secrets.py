"""No secret is in a cassette, in whatever form and place it went over the wire; and it replays with other ones."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from connector_sdk.testing.recording import CassetteError, UnansweredError, record_http, replay_http
from tests.support.canaries import CORES, FORMS, SECRETS, is_in
from tests.support.recorded import vendor

pytestmark = pytest.mark.wire


def safe(form: str) -> str:
    return form if form.isascii() and form.isprintable() else quote(form, safe="")


async def handler(request: web.Request) -> web.StreamResponse:
    """Say what the request's body says to say, where it says."""
    if request.path == "/socket":
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(f"you said {await socket.receive_str()}")
        await socket.close()
        return socket
    place, _, form = (await request.text()).partition(":") if request.path == "/echo" else ("", "", "")
    if place == "answer stream":
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        half = len(form) // 2  # cut in two by the platform
        for piece in ("first\n", form[:half], form[half:], "\nlast"):
            await response.write(piece.encode())
        await response.write_eof()
        return response
    answer = web.Response(text=f"text {form} behind")
    match place:
        case "answer JSON":
            answer = web.json_response({"nested": [{"note": f"a {form} b"}]})
        case "answer bytes":
            answer = web.Response(body=b"\xff\x00" + form.encode() + b"\xfe")
        case "answer header":
            answer.headers["X-Note"] = safe(form)
        case "answer cookie":
            answer.headers["Set-Cookie"] = f"session={safe(form)}; Path=/"
    return answer


REQUESTS: dict[str, Callable[[str], dict[str, Any]]] = {
    "path": lambda form: {"target": f"/x/{quote(form, safe='%+=')}/y"},
    "query": lambda form: {"target": f"/x?note={quote(form, safe='%')}"},
    "named query": lambda form: {"target": f"/x?api_key={quote(form, safe='%')}&a=1"},
    "header": lambda form: {"headers": {"X-Note": safe(form)}},
    "named header": lambda form: {"headers": {"X-Api-Key": safe(form)}},
    "cookie": lambda form: {"headers": {"Cookie": f"a={safe(form)}"}},
    "JSON": lambda form: {"json": {"nested": [{"note": f"a {form} b"}]}},
    "named JSON": lambda form: {"json": {"password": form}},
    "text": lambda form: {"data": f"a {form} b"},
    "bytes": lambda form: {"data": b"\xff\x00" + form.encode() + b"\xfe"},
}


async def say(url: str, place: str, form: str) -> None:
    """Send a secret's form to one place of a request, or have it answered."""
    async with aiohttp.ClientSession() as session:
        if place == "message":
            async with session.ws_connect(f"{url}/socket") as socket:
                await socket.send_str(form)
                await socket.receive()
            return
        echo: dict[str, Any] = {"target": "/echo", "data": f"{place}:{form}"}
        options = REQUESTS[place](form) if place in REQUESTS else echo
        address = URL(f"{url}{options.pop('target', '/x')}", encoded=True)
        async with session.post(address, **options) as answer:
            assert answer.status == 200, await answer.text()
            await answer.read()


PLACES = (*REQUESTS, *(f"answer {kind}" for kind in ("JSON", "text", "bytes", "header", "cookie", "stream")), "message")


@settings(max_examples=30)
@given(
    secret=SECRETS,
    core=CORES,
    other=SECRETS,
    form=st.sampled_from(sorted(FORMS)),
    places=st.lists(st.sampled_from(PLACES), min_size=1, max_size=3),
)
async def test_no_secret_is_in_a_cassette_and_it_replays_with_another_one(
    secret: str, core: str, other: str, form: str, places: list[str]
) -> None:
    secret, other = secret + core, other + core[::-1]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "c.json"
        async with vendor(handler) as url:
            with record_http(path, platform=url, credentials={"api_key": secret}) as recorded:
                for place in places:
                    await say(recorded.url, place, FORMS[form](secret))
                recorded.check()
        text = path.read_text()
        assert not is_in(core, text)
        for body in (one["answer"].get("body", {}) for one in json.loads(text)["exchanges"]):
            assert not is_in(core, base64.b64decode(body.get("base64", "")).decode(errors="replace"))
            assert not is_in(core, "".join(body.get("chunks", [])))
        with replay_http(path, credentials={"api_key": other}) as replayed:
            for place in places:
                await say(replayed.url, place, FORMS[form](other))
            replayed.check()


async def test_secrets_that_the_platform_hands_out_are_gone_wherever_they_go(tmp_path: Path) -> None:
    minted = "minted-by-the-platform-3f9a"

    async def login(request: web.Request) -> web.Response:
        if request.path == "/login":
            assert (await request.json())["password"] == "the-password-of-the-account"
            body = {"access_token": minted, "expires_in": 60, "next_page_token": "page-2-of-the-list"}
            return web.json_response(body, headers={"Set-Cookie": "sid=session-number-0123456789; HttpOnly"})
        return web.json_response({"session": minted, "seen": request.headers["Cookie"]})

    async def talk(url: str, password: str) -> object:
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{url}/login", json={"user": "ada", "password": password}) as answer:
                body, cookie = await answer.json(), answer.cookies["sid"].value
            headers = {"Authorization": f"Bearer {body['access_token']}", "Cookie": f"sid={cookie}"}
            token = body["access_token"]
            async with session.get(f"{url}/v1/{token}/me?session={token}", headers=headers) as answer:
                return answer.status, body["next_page_token"]

    path = tmp_path / "c.json"
    async with vendor(login) as url:
        with record_http(path, platform=url) as recorded:  # nobody has declared the password
            assert await talk(recorded.url, "the-password-of-the-account") == (200, "page-2-of-the-list")
    text = path.read_text()
    for secret in (minted, "the-password-of-the-account", "session-number-0123456789"):
        assert not is_in(secret, text)
    with replay_http(path) as replayed:
        assert await talk(replayed.url, "anything") == (200, "page-2-of-the-list")
        replayed.check()


async def test_what_an_author_hides_is_hidden(tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response({"tenant": "tenant-of-the-author"}, headers={"X-Tenant": "tenant-of-the-author"})

    path = tmp_path / "c.json"
    async with vendor(handler) as url:
        with record_http(path, platform=url, hide=["tenant", "x-tenant"]) as recorded:
            await say(recorded.url, "JSON", "tenant-of-the-author")
    assert "tenant-of-the-author" not in path.read_text()


async def test_a_cassette_that_would_hold_a_secret_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector_sdk.testing.recording.blots.Blots.__call__", lambda self, data: data)
    path = tmp_path / "c.json"
    async with vendor(handler) as url:
        with (
            pytest.raises(CassetteError, match="would hold the secret that REDACTED-api_key stands for"),
            record_http(path, platform=url, credentials={"api_key": 'a-"secret"-of-the-test'}) as recorded,
        ):
            await say(recorded.url, "text", 'a-"secret"-of-the-test')
    assert not path.exists()


async def test_what_goes_wrong_with_a_recording_is_told_without_secrets(tmp_path: Path) -> None:
    async with vendor(handler) as url:
        pass
    with record_http(tmp_path / "c.json", platform=url, credentials={"api_key": "a-secret-of-the-test"}) as recorded:
        async with aiohttp.ClientSession() as session:
            path = "/a-secret-of-the-test?token=another-secret"
            async with session.get(f"{recorded.url}{path}") as answer:
                said = await answer.text()
        assert "/REDACTED-api_key?token=REDACTED-token did not reach" in said
        assert "secret" not in said
        with pytest.raises(UnansweredError, match="REDACTED-api_key"):
            recorded.check()


async def test_an_address_among_the_credentials_is_where_the_platform_is(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    async with vendor(handler) as url:
        given = {"base_url": f"{url}/v1", "api_key": "a-secret-of-the-test"}
        with record_http(path, credentials=given) as recorded:
            assert recorded.credentials == {"base_url": recorded.url, "api_key": "a-secret-of-the-test"}
            assert recorded.url.endswith("/v1")
            await say(recorded.url, "path", "x")
    with replay_http(path) as replayed:
        assert replayed.credentials == {"base_url": replayed.url, "api_key": "REDACTED-api_key"}
        await say(replayed.url, "path", "x")
        replayed.check()
