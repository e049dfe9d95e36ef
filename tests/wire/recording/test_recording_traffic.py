"""What goes over the wire is recorded once, and is the same when it is replayed with the platform gone."""

from __future__ import annotations

import asyncio
import json
import ssl
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509

from connector_sdk.http import HttpSession
from connector_sdk.testing.recording import (
    CassetteError,
    RecordedHttp,
    UnansweredError,
    record_http,
    replay_http,
)
from tests.support.authority import Authority
from tests.support.recorded import Handler, vendor

pytestmark = pytest.mark.wire

Talk = Callable[[str], Awaitable[object]]


async def both(folder: Path, handler: Handler, talk: Talk) -> tuple[object, object, str]:
    """Let a connector talk to the platform, and again to the cassette; returns both, and the cassette's text."""
    path = folder / "c.json"
    async with vendor(handler) as url:
        with record_http(path, platform=url) as recorded:
            told = await talk(recorded.url)
            recorded.check()
    with replay_http(path) as replayed:
        again = await talk(replayed.url)
        replayed.check()
    return told, again, path.read_text()


async def fetch(url: str, method: str = "GET", **options: object) -> tuple[int, dict[str, str], bytes]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, allow_redirects=False, **options) as answer,  # type: ignore[arg-type]
    ):
        return answer.status, {name.lower(): value for name, value in answer.headers.items()}, await answer.read()


def without(headers: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in (*names, "server", "content-length")}


async def test_json_is_kept_as_json_and_an_error_with_its_status_and_headers(tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.Response:
        body = {"error": {"code": "NO_GPU", "asked": await request.json()}}
        return web.json_response(body, status=429, headers={"Retry-After": "7", "X-RateLimit-Reset": "9"})

    async def talk(url: str) -> object:
        return await fetch(f"{url}/jobs?b=2&a=1", "POST", json={"gpu": "L4", "n": [1, 2.5, None]})

    told, again, text = await both(tmp_path, handler, talk)
    assert told == again
    (exchange,) = json.loads(text)["exchanges"]
    assert exchange["request"]["body"]["json"] == {"gpu": "L4", "n": [1, 2.5, None]}
    assert exchange["answer"]["status"] == 429
    assert exchange["answer"]["headers"]["Retry-After"] == "7"


async def test_a_cassette_is_the_same_text_for_the_same_traffic(tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response({"z": 1, "a": [request.query["n"]]}, headers={"Date": "now", "X-B": "1", "X-A": "2"})

    texts = []
    async with vendor(handler) as url:
        for run in range(2):
            path = tmp_path / f"{run}.json"
            with record_http(path, platform=url) as recorded:
                await fetch(f"{recorded.url}/a?n=1")
                await fetch(f"{recorded.url}/a?n=2", headers={"User-Agent": f"run {run}"})
            texts.append(path.read_text())
    assert texts[0] == texts[1]
    assert texts[0].startswith('{\n  "version": 1,\n')
    assert texts[0].endswith("}\n")


async def test_a_stream_keeps_its_pieces_and_comes_while_it_is_written(tmp_path: Path) -> None:
    seen = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b'data: {"line": "first"}\n\n')
        await seen.wait()  # nothing more until the first piece has arrived
        await response.write('data: {"line": "zweite é"}\n\n'.encode())
        await response.write_eof()
        return response

    async def talk(url: str) -> object:
        pieces = []
        async with HttpSession(url) as http:
            async for line in http.lines("/log"):
                pieces.append(line)
                seen.set()
        return pieces

    told, again, text = await both(tmp_path, handler, talk)
    assert told == again == ['data: {"line": "first"}', "", 'data: {"line": "zweite é"}', ""]
    body = json.loads(text)["exchanges"][0]["answer"]["body"]
    assert body == {"chunks": ['data: {"line": "first"}\n\n', 'data: {"line": "zweite é"}\n\n']}


async def test_a_stream_that_the_connector_leaves_is_kept_up_to_there(tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"one\n")
        await asyncio.Event().wait()
        return response

    async def talk(url: str) -> object:
        async with aiohttp.ClientSession() as session, session.get(f"{url}/log") as answer:
            return await answer.content.readline()

    told, again, text = await both(tmp_path, handler, talk)
    assert told == again == b"one\n"
    assert json.loads(text)["exchanges"][0]["answer"]["is_cut"]


async def test_an_answer_that_breaks_off_breaks_off_again(tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        await response.write(b"half of ")
        assert request.transport is not None
        request.transport.close()
        return response

    async def talk(url: str) -> object:
        with pytest.raises(aiohttp.ClientPayloadError):
            await fetch(f"{url}/file")
        return None

    _, _, text = await both(tmp_path, handler, talk)
    assert json.loads(text)["exchanges"][0]["answer"]["is_cut"]


async def test_bytes_and_their_ranges_are_the_same_to_the_last_one(tmp_path: Path) -> None:
    content = bytes(range(256)) * 10
    config = b'{\n  "r": 8,\n "lora_alpha": 1e1}\n'  # a file with a checksum: not to be written anew

    async def handler(request: web.Request) -> web.Response:
        whole = config if request.path == "/config" else content
        first = request.http_range.start or 0
        headers = {"Content-Range": f"bytes {first}-{len(whole) - 1}/{len(whole)}", "ETag": '"e"'}
        return web.Response(status=206, body=whole[first:], headers=headers, content_type="application/octet-stream")

    async def talk(url: str) -> object:
        whole = [await fetch(f"{url}/{name}", headers={"Range": "bytes=0-"}) for name in ("model", "config")]
        return [*whole, await fetch(f"{url}/model", headers={"Range": "bytes=2000-"})]

    told, again, _ = await both(tmp_path, handler, talk)
    assert told == again
    assert isinstance(told, list)
    assert [one[2] for one in told] == [content, config, content[2000:]]


async def test_head_tells_the_size_again(tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=b"x" * 1234, headers={"ETag": '"e"'})

    async def talk(url: str) -> object:
        return (await fetch(f"{url}/file", "HEAD"))[1]["content-length"]

    told, again, _ = await both(tmp_path, handler, talk)
    assert told == again == "1234"


async def test_links_and_redirects_of_the_platform_lead_here(tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.Response:
        own = f"http://{request.host}"
        if request.path == "/next":
            return web.json_response({"next": f"{own}/last?from={own}/next", "escaped": f"see {own}."})
        if request.path == "/last":
            return web.json_response({"from": request.query["from"]})
        return web.Response(status=307, headers={"Location": f"{own}/next"})

    async def talk(url: str) -> object:
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{url}/first") as answer:
                page = await answer.json()
            assert page["escaped"] == f"see {url}."
            async with session.get(page["next"]) as answer:
                assert (await answer.json())["from"] == f"{url}/next"
        return page["next"].removeprefix(url).partition("?")[0]

    told, again, _ = await both(tmp_path, handler, talk)
    assert told == again == "/last"


async def test_what_an_answer_names_on_another_host_is_recorded_as_well(tmp_path: Path) -> None:
    async def storage(request: web.Request) -> web.Response:
        return web.Response(body=b"adapter", content_type="application/octet-stream")

    async def handler(request: web.Request) -> web.Response:
        return web.json_response({"download": f"{store}/files/1?X-Amz-Signature=signed-by-the-platform"})

    async def talk(recorded: RecordedHttp) -> bytes:
        _, _, page = await fetch(f"{recorded.url}/jobs/1/file")
        link = json.loads(page)["download"]
        assert link.startswith(recorded.url_of(f"{store}/files/1"))
        return (await fetch(link))[2]

    path = tmp_path / "c.json"
    async with vendor(storage) as store, vendor(handler) as url:
        with record_http(path, platform=url, others=[store]) as recorded:
            assert await talk(recorded) == b"adapter"
    assert "signed-by-the-platform" not in path.read_text()
    with replay_http(path) as replayed:
        assert await talk(replayed) == b"adapter"
        replayed.check()


async def test_a_client_that_knows_only_of_a_proxy_is_recorded(tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(text=f"{request.host} {request.path_qs}")

    async def talk(url: str) -> object:
        return (await fetch(f"http://{host}/a%2Fb?c=d", proxy=url))[2]

    path = tmp_path / "c.json"
    async with vendor(handler) as url, vendor(handler) as other:
        host = other.removeprefix("http://")
        with record_http(path, platform=url) as recorded:
            assert await talk(recorded.url) == f"{host} /a%2Fb?c=d".encode()
    with replay_http(path) as replayed:
        assert await talk(replayed.url) == f"{host} /a%2Fb?c=d".encode()
        with pytest.raises(aiohttp.ClientHttpProxyError) as refusal:
            await fetch("https://api.acme.example/", proxy=replayed.url)
        assert refusal.value.status == 501
        with pytest.raises(UnansweredError, match="Point the connector's base URL here"):
            replayed.check()


async def test_a_platform_behind_tls_is_spoken_to_in_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(text=request.scheme)

    Authority(tmp_path / "tls").sign("server", x509.DNSName("localhost"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "tls" / "server.pem", tmp_path / "tls" / "server.key")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "tls" / "ca.pem"))
    path = tmp_path / "c.json"
    async with vendor(handler, tls=context) as url:
        with record_http(path, platform=url) as recorded:
            assert (await fetch(f"{recorded.url}/x"))[2] == b"https"
            recorded.check()
    with replay_http(path) as replayed:
        assert (await fetch(f"{replayed.url}/x"))[2] == b"https"


async def test_a_form_of_several_parts_matches_whatever_its_boundary(tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.Response:
        parts = await request.post()
        return web.json_response(sorted(parts))

    async def talk(url: str) -> object:
        form = aiohttp.FormData({"purpose": "fine-tune"})
        form.add_field("file", b"\xff\x00\x01", filename="data.bin")
        return await fetch(f"{url}/files", "POST", data=form)

    told, again, _ = await both(tmp_path, handler, talk)
    assert told == again


async def test_a_connector_that_blocks_its_loop_is_answered(tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(text="yes")

    path = tmp_path / "c.json"
    async with vendor(handler) as url:
        with record_http(path, platform=url) as recorded:
            await fetch(f"{recorded.url}/x")
    with replay_http(path) as replayed, urllib.request.urlopen(f"{replayed.url}/x", timeout=10) as answer:  # noqa: ASYNC210
        assert answer.read() == b"yes"


async def test_what_was_not_recorded_is_answered_501_and_told(tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response({"id": "job-1"})

    path = tmp_path / "c.json"
    async with vendor(handler) as url:
        with record_http(path, platform=url) as recorded:
            await fetch(f"{recorded.url}/jobs", "POST", json={"gpu": "L4"})
    with replay_http(path) as replayed:
        status, _, text = await fetch(f"{replayed.url}/jobs", "POST", json={"gpu": "H100"})
        assert (status, b'body.gpu is "H100", and was "L4"' in text) == (501, True)
        with pytest.raises(UnansweredError, match="There is no recorded answer to"):
            replayed.check()


async def test_a_platform_that_is_not_there_spoils_the_recording_and_leaves_the_old_one(tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(text="yes")

    path = tmp_path / "c.json"
    async with vendor(handler) as url:
        with record_http(path, platform=url) as recorded:
            await fetch(f"{recorded.url}/x")
    before = path.read_text()
    with record_http(path, platform=url) as recorded:
        assert (await fetch(f"{recorded.url}/x"))[0] == 501
        with pytest.raises(UnansweredError, match="did not reach the platform"):
            recorded.check()
    assert path.read_text() == before


async def test_an_answer_that_is_too_large_for_a_cassette_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector_sdk.testing.recording.forwarding.LARGEST_ANSWER_BYTES", 1000)

    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=b"x" * 1001)

    async with vendor(handler) as url:
        with record_http(tmp_path / "c.json", platform=url) as recorded:
            assert (await fetch(f"{recorded.url}/file"))[0] == 501
            with pytest.raises(UnansweredError, match="more than 1000 bytes"):
                recorded.check()
    assert not (tmp_path / "c.json").exists()


def test_a_cassette_that_is_missing_or_broken_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    with pytest.raises(CassetteError, match="record it against the platform"), replay_http(path):
        pass
    path.write_text('{"version": 1, "platforms": ["http://a"], "exchanges": [{"request": {"url": "x"}}]}')
    with pytest.raises(CassetteError, match=r"exchanges\.0\.request\.method.*record it again"), replay_http(path):
        pass
    with pytest.raises(CassetteError, match="where the platform is"), record_http(path, credentials={"key": "k"}):
        pass
