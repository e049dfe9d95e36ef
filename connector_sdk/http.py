"""An HTTP session that does what every connector needs: time-outs, tries, limits, and errors that say what happened.

A safe call (GET, HEAD, OPTIONS, or one that its author calls safe) is tried again after a cut, a time-out, 429 and
500 to 504, when the platform says or after a growing pause, within a few seconds in all; beyond those, the gateway
decides. Any other call is made once.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import aiohttp

from connector_sdk._classify import classify
from connector_sdk._http_errors import ErrorTable, error_of
from connector_sdk._pace import Pace
from connector_sdk._rate_limits import rate_limit_pause
from connector_sdk.errors import ConnectorError, PlatformUnavailableError

CONNECT_SECONDS = 5.0  # a platform that is there answers in milliseconds
HEARTBEAT_SECONDS = 30.0  # between two pings of a WebSocket; one that stays unanswered for half of it is a cut
QUIET_SECONDS = 300.0  # a log that is followed may have nothing to say for so long
SILENCE_SECONDS = 20.0  # below the gateway's limit of a call, 30 s, so that its error can still be told
MOST_TRIES = 4
FIRST_PAUSE_SECONDS = 0.3
LONGEST_PAUSE_SECONDS = 4.0
LAST_TRY_SECONDS = 15.0  # after its first one, a call is not tried again: the gateway's limit of a call is 30 s
CONCURRENT_REQUESTS = 10  # that wait for their answers at a time, where the author says nothing
LONGEST_ERROR_BYTES = 65_536  # of an error's body; more is no message
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
TRIED_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
CUTS = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError)
CLEAN_CLOSES = (aiohttp.WSCloseCode.OK, aiohttp.WSCloseCode.GOING_AWAY)
"""GOING_AWAY is how a server says that it has no more."""


class HttpSession:
    """Speak to one platform in the name of one account."""

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: ErrorTable | None = None,
        requests_per_minute: int = 0,
        concurrent_requests: int = CONCURRENT_REQUESTS,
        silence_seconds: float = SILENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            base_url: What paths are appended to, e.g. `https://api.example.com/v1`.
            headers: Go along with every request to the base URL, e.g. the authorization, and to nowhere else.
            errors: Errors of this platform that its statuses alone do not tell.
            requests_per_minute: As the platform allows; 0 = not limited.
            concurrent_requests: Requests that wait for their answers at a time; streams that are read do not count.
            silence_seconds: How long the platform may send nothing.
            clock: Seconds that never jump.
            sleep: Lets time pass.
        """
        self._base_url = base_url.rstrip("/")
        self._errors = errors or {}
        self._clock = clock
        self._sleep = sleep
        self._pace = Pace(
            requests_per_minute=requests_per_minute, concurrent_requests=concurrent_requests, clock=clock, sleep=sleep
        )
        self._headers = dict(headers or {})
        # trust_env: the proxy variables are in a connector's environment so that they are used.
        self._session = aiohttp.ClientSession(timeout=_timeout(silence_seconds), trust_env=True)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def __aenter__(self) -> Self:
        """Give the session."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.close()

    @asynccontextmanager
    async def request(
        self, method: str, path: str, *, is_safe: bool | None = None, **options: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Make a call and give its answer, which is below 400; `options` are aiohttp's: json, params, data, headers.

        Args:
            method: `GET`, `POST` …
            path: Behind the base URL, or a whole URL.
            is_safe: Whether the call may arrive twice; None = as its method is. True for a POST that carries the
                platform's idempotency key.
            options: What aiohttp takes.

        Raises:
            ConnectorError: By the session's table, or the one that the status stands for.

        """
        async with self._pace.place():
            answer = await self._answered(method, path, options, is_safe=is_safe, is_read=False)
        # Read outside of its place: logs that are followed for hours would leave none for other calls.
        try:
            yield answer
        finally:
            answer.release()

    async def json(self, method: str, path: str, *, is_safe: bool | None = None, **options: Any) -> Any:
        """Make a call and give what its answer holds; None where there is nothing in it."""
        async with self._pace.place():
            answer = await self._answered(method, path, options, is_safe=is_safe, is_read=True)
            return await answer.json(content_type=None) if await answer.read() else None

    async def get(self, path: str, **params: str | int) -> Any:
        """Get what a path holds."""
        return await self.json("GET", path, params=params or None)

    async def post(self, path: str, body: object = None, *, is_safe: bool = False) -> Any:
        """Send a body to a path and give what the answer holds."""
        return await self.json("POST", path, is_safe=is_safe, json=body)

    async def delete(self, path: str) -> Any:
        """Delete what a path holds; a second time is as good as once."""
        return await self.json("DELETE", path, is_safe=True)

    async def stream(self, path: str, *, offset: int = 0) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of a file from an offset on, in the pieces in which they come."""
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        async with self.request("GET", path, headers=headers) as answer:
            # Who knows no ranges sends the whole file.
            skip = offset if answer.status == 200 else 0
            async for piece in answer.content.iter_any():
                if len(piece) > skip:
                    yield piece[skip:]
                skip = max(skip - len(piece), 0)

    async def lines(self, path: str) -> AsyncGenerator[str, None]:
        """Yield the lines of a text, without their ends, for as long as it is written."""
        async with self.request("GET", path, timeout=_timeout(QUIET_SECONDS)) as answer:
            rest = b""
            async for piece in answer.content.iter_any():
                *whole, rest = (rest + piece).split(b"\n")
                for line in whole:
                    yield line.decode(errors="replace").removesuffix("\r")
            if rest:
                yield rest.decode(errors="replace")

    async def messages(self, path: str) -> AsyncGenerator[str, None]:
        """Yield the texts of a WebSocket until it is closed.

        Raises:
            PlatformUnavailableError: It broke, which is no end.

        """
        url, headers = self._address(path, {})
        async with self._session.ws_connect(url, headers=headers, heartbeat=HEARTBEAT_SECONDS) as socket:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    yield message.data
            if socket.close_code not in CLEAN_CLOSES:
                raise PlatformUnavailableError(f"The WebSocket {path} broke (code {socket.close_code}).")

    async def _answered(
        self, method: str, path: str, options: Mapping[str, Any], *, is_safe: bool | None, is_read: bool
    ) -> aiohttp.ClientResponse:
        """Make a call until it is answered well, or it is not worth another try."""
        may_repeat = method.upper() in SAFE_METHODS if is_safe is None else is_safe
        url, headers = self._address(path, options.get("headers") or {})
        began, pause = self._clock(), FIRST_PAUSE_SECONDS
        for number in range(1, MOST_TRIES + 1):
            await self._pace.admit()
            try:
                answer = await self._session.request(method, url, **{**options, "headers": headers})
                wish = self._heeded(answer)
                if answer.status < 400:
                    return await _read(answer) if is_read else answer
                failure: Exception = await self._failure(answer, f"{method} {path}", wish)
                is_worth_it = answer.status in TRIED_AGAIN
            except CUTS as error:
                failure, wish, is_worth_it = error, None, True
            seconds = random.uniform(pause / 2, pause) if wish is None else wish
            is_late = self._clock() - began + seconds > LAST_TRY_SECONDS
            if not (may_repeat and is_worth_it) or is_late or number == MOST_TRIES:
                break
            await self._sleep(seconds)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        if isinstance(failure, ConnectorError):
            raise failure
        raise classify(failure) from failure

    def _heeded(self, answer: aiohttp.ClientResponse) -> float | None:
        """Let all calls wait as the platform wishes, and give its wish."""
        wish = rate_limit_pause(answer.headers, status=answer.status)
        if wish is not None:
            self._pace.hold(min(wish, LAST_TRY_SECONDS))
        return wish

    async def _failure(self, answer: aiohttp.ClientResponse, where: str, retry_after: float | None) -> Exception:
        try:
            body = await answer.content.read(LONGEST_ERROR_BYTES)
        except CUTS:
            body = b""
        finally:
            answer.release()
        return error_of(answer.status, body.decode(errors="replace"), where, self._errors, retry_after)

    def _address(self, path: str, headers: Mapping[str, str]) -> tuple[str, Mapping[str, str]]:
        url = path if "://" in path else self._base_url + path
        # A link that was signed for somebody else's storage must not be shown the account's key.
        is_own = url.startswith(f"{self._base_url}/")
        return url, {**self._headers, **headers} if is_own else headers


def _timeout(silence_seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=silence_seconds)


async def _read(answer: aiohttp.ClientResponse) -> aiohttp.ClientResponse:
    await answer.read()
    return answer
