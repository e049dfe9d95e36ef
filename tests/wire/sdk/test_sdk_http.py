"""The HTTP session against a real server that is limited, broken or slow."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing

import pytest
from aiohttp import WSCloseCode, web

from connector_sdk.errors import (
    ConnectorError,
    CredentialsRejectedError,
    InvalidConfigError,
    NoCapacityError,
    PlatformTimeoutError,
    PlatformUnavailableError,
    QuotaError,
    RateLimitError,
    UnsupportedError,
)
from connector_sdk.http import LAST_TRY_SECONDS, MOST_TRIES, HttpSession
from tests.support.sdk.rpc import SECONDS
from tests.support.sdk.scripted import CUT, Answer, ScriptedServer, SleepClock, served

pytestmark = pytest.mark.wire

GOOD = Answer(body='{"id": "a"}')


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer().running() as running:
        yield running


def session(server: ScriptedServer, clock: SleepClock | None = None, **options: object) -> HttpSession:
    clock = clock or SleepClock()
    return HttpSession(server.url, clock=clock, sleep=clock.sleep, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [Answer(503), Answer(502, "<html>"), Answer(429), Answer(CUT, "{"), Answer(500)])
async def test_a_safe_call_is_tried_again_until_it_is_answered(server: ScriptedServer, bad: Answer) -> None:
    server.script = [bad, bad, GOOD]
    async with session(server) as http:
        assert await http.get("/jobs", state="open") == {"id": "a"}
    assert server.requests == ["GET /jobs"] * 3


@pytest.mark.parametrize("bad", [Answer(503), Answer(429), Answer(CUT, "{")])
async def test_a_call_that_must_not_arrive_twice_is_made_once(server: ScriptedServer, bad: Answer) -> None:
    server.script = [bad, GOOD]
    async with session(server) as http:
        with pytest.raises(ConnectorError):
            await http.post("/jobs", {"a": 1})
    assert server.requests == ["POST /jobs"]


async def test_a_post_with_an_idempotency_key_is_as_safe_as_its_author_says(server: ScriptedServer) -> None:
    server.script = [Answer(503), GOOD]
    async with session(server) as http:
        assert await http.post("/jobs", {"a": 1}, is_safe=True) == {"id": "a"}


async def test_tries_end_and_the_last_failure_is_told(server: ScriptedServer) -> None:
    server.script = [Answer(503, json.dumps({"error": {"message": "we are down"}}))]
    async with session(server) as http:
        with pytest.raises(PlatformUnavailableError, match="GET /jobs was answered 503: we are down"):
            await http.get("/jobs")
    assert len(server.requests) == MOST_TRIES


async def test_the_platforms_own_wish_is_the_pause(server: ScriptedServer) -> None:
    clock = SleepClock()
    server.script = [Answer(429, headers={"RateLimit": '"default";r=0;t=6'}), GOOD]
    async with session(server, clock) as http:
        await http.get("/jobs")
    assert sum(clock.naps) == 6


async def test_a_wish_that_is_too_long_to_wait_for_is_told_at_once(server: ScriptedServer) -> None:
    clock = SleepClock()
    server.script = [Answer(429, headers={"x-ratelimit-reset-requests": "1m0s"})]
    async with session(server, clock) as http:
        with pytest.raises(RateLimitError) as limited:
            await http.get("/jobs")
    assert (limited.value.retry_after, clock.naps, LAST_TRY_SECONDS < 60) == (60, [], True)


async def test_after_a_used_up_limit_the_next_call_waits(server: ScriptedServer) -> None:
    clock = SleepClock()
    server.script = [Answer(headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "5"}), GOOD]
    async with session(server, clock) as http:
        await http.get("/a")
        assert clock.naps == []
        await http.post("/b")
    assert clock.naps == [5]


async def test_no_more_requests_are_made_within_a_minute_than_are_declared(server: ScriptedServer) -> None:
    clock = SleepClock()
    async with session(server, clock, requests_per_minute=3) as http:
        for _ in range(7):
            await http.get("/a")
    assert clock.naps == [60, 60]


async def test_no_more_requests_are_under_way_than_are_declared() -> None:
    under_way, most, gate = 0, 0, asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        if under_way == 2:
            gate.set()
        await gate.wait()
        under_way -= 1
        return web.json_response({})

    async with served(answer) as url, HttpSession(url, concurrent_requests=2) as http:
        await asyncio.gather(*(http.get("/a") for _ in range(8)))
    assert most == 2


async def test_logs_that_are_followed_leave_room_for_other_calls(server: ScriptedServer) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"line\n")
        if request.path == "/log":
            await asyncio.Event().wait()
        return response

    async with served(endless) as url, HttpSession(url, concurrent_requests=1) as http, AsyncExitStack() as stack:
        for _ in range(3):
            lines = await stack.enter_async_context(aclosing(http.lines("/log")))
            assert await anext(lines) == "line"
        async with asyncio.timeout(SECONDS):
            assert [line async for line in http.lines("/short")] == ["line"]


async def test_the_accounts_key_goes_to_its_platform_alone(server: ScriptedServer) -> None:
    async with ScriptedServer().running() as storage, session(server, headers={"X-Api-Key": "k"}) as http:
        await http.get("/link")
        await http.json("GET", f"{storage.url}/signed", headers={"X-Own": "1"})
    assert server.sent_headers[0]["X-Api-Key"] == "k"
    assert "X-Api-Key" not in storage.sent_headers[0]
    assert storage.sent_headers[0]["X-Own"] == "1"


async def test_a_proxy_of_the_environment_is_used(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url)
    server.script = [GOOD]
    async with HttpSession("http://api.example.invalid", headers={"Authorization": "Bearer k"}) as http:
        assert await http.get("/jobs") == {"id": "a"}
    assert (server.requests, server.sent_headers[0]["Host"]) == (["GET /jobs"], "api.example.invalid")


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (Answer(400, '{"error": {"code": "out_of_gpus", "message": "none left"}}'), NoCapacityError, "none left"),
        (Answer(422, '{"errors": [{"type": "quota", "detail": "at most 3"}]}'), QuotaError, "at most 3"),
        (Answer(409, "busy"), NoCapacityError, "busy"),
        (Answer(403, '{"code": "quota"}'), UnsupportedError, "answered 403"),
        (Answer(401, "who?"), CredentialsRejectedError, "who\\?"),
        (Answer(418, '{"message": "tea"}'), InvalidConfigError, "tea"),
    ],
)
async def test_a_connectors_table_says_what_an_answer_means(
    server: ScriptedServer, answer: Answer, kind: type[ConnectorError], words: str
) -> None:
    server.script = [answer]
    table = {
        "out_of_gpus": NoCapacityError,
        "quota": QuotaError,
        409: NoCapacityError,
        (403, "quota"): UnsupportedError,
    }
    async with session(server, errors=table) as http:
        with pytest.raises(kind, match=words):
            await http.post("/jobs")


async def test_a_platform_that_is_silent_is_given_up() -> None:
    async def silent(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    clock = SleepClock()
    async with served(silent) as url, HttpSession(url, silence_seconds=0.1, clock=clock, sleep=clock.sleep) as http:
        with pytest.raises(PlatformTimeoutError):
            await http.get("/jobs")


async def test_a_platform_that_is_not_there_was_not_reached(unused_tcp_port: int) -> None:
    clock = SleepClock()
    async with HttpSession(f"http://127.0.0.1:{unused_tcp_port}", clock=clock, sleep=clock.sleep) as http:
        with pytest.raises(PlatformUnavailableError) as failed:
            await http.post("/jobs")
    assert failed.value.metadata == {"unsent": "true"}


@pytest.mark.parametrize("knows_ranges", [True, False])
async def test_a_file_is_read_from_an_offset_on(server: ScriptedServer, knows_ranges: bool) -> None:
    server.script = [Answer(206, "cdef") if knows_ranges else Answer(200, "abcdef")]
    async with session(server) as http:
        assert b"".join([piece async for piece in http.stream("/file", offset=2)]) == b"cdef"
    assert server.sent_headers[0]["Range"] == "bytes=2-"


async def test_a_text_is_read_by_lines(server: ScriptedServer) -> None:
    server.script = [Answer(body="a\r\nbé\n\nlast")]
    async with session(server) as http:
        assert [line async for line in http.lines("/log")] == ["a", "bé", "", "last"]


@pytest.mark.parametrize("code", [WSCloseCode.OK, WSCloseCode.INTERNAL_ERROR])
async def test_a_socket_that_breaks_is_no_end(code: WSCloseCode) -> None:
    async def speak(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("one")
        await socket.close(code=code)
        return socket

    seen: list[str] = []
    async with served(speak) as url, HttpSession(url) as http:
        try:
            async for text in http.messages("/log"):
                seen.append(text)  # noqa: PERF401 - what came before it broke counts
        except PlatformUnavailableError:
            seen.append("broke")
    assert seen == (["one"] if code is WSCloseCode.OK else ["one", "broke"])
