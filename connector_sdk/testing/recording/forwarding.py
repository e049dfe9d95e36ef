"""Record: pass requests on to the platform and its answers back, and keep both."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web
from yarl import URL

from connector_sdk.testing.recording.addresses import Addresses
from connector_sdk.testing.recording.answers import cut_off, headers_for
from connector_sdk.testing.recording.exchange import Answered, Recorded, told
from connector_sdk.testing.recording.requests import TUNNEL, asked_of, is_tunnel, is_websocket, unanswered
from connector_sdk.testing.recording.showing import Screen
from connector_sdk.testing.recording.sockets import relay

LARGEST_ANSWER_BYTES = 8 * 2**20
"""What is larger is refused: a cassette is committed and read."""


class Forwarder:
    """Answer as the platform does, and record it."""

    def __init__(self, session: aiohttp.ClientSession, addresses: Addresses, screen: Screen) -> None:
        """Ask through `session`; problems are told as `screen` shows them."""
        self._session = session
        self._addresses = addresses
        self._screen = screen
        self.recorded: list[Recorded] = []
        self.problems: list[str] = []

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        if is_tunnel(request):
            return self._failed(TUNNEL)
        exchange = Recorded(asked=await asked_of(request, self._addresses))
        self.recorded.append(exchange)
        try:
            if is_websocket(request):
                return await relay(self._session, request, exchange)
            return await self._forward(request, exchange)
        except (aiohttp.ClientConnectorError, aiohttp.ServerTimeoutError) as error:
            return self._failed(f"{self._shown(exchange)} did not reach the platform: {error}")
        except _TooLargeError:
            size = f"more than {LARGEST_ANSWER_BYTES} bytes, which is no cassette's size"
            return self._failed(f"{self._shown(exchange)} is answered with {size}: record with a smaller file.")

    async def _forward(self, request: web.BaseRequest, exchange: Recorded) -> web.StreamResponse:
        asked = exchange.asked
        async with self._session.request(
            asked.method,
            URL(asked.url, encoded=True),
            # What is compressed cannot be read in a cassette.
            headers=[*asked.headers, ("Accept-Encoding", "identity")],
            data=asked.data or None,
            allow_redirects=False,
        ) as answer:
            kept = Answered(status=answer.status, headers=told(answer.headers.items(), method=asked.method))
            exchange.answered = kept
            is_whole = answer.content_length is not None or asked.method == "HEAD"
            try:
                return await (self._whole if is_whole else self._stream)(request, answer, kept)
            except aiohttp.ClientPayloadError:
                return cut_off(request)

    async def _whole(self, request: web.BaseRequest, answer: aiohttp.ClientResponse, kept: Answered) -> web.Response:
        data = b"".join([piece async for piece in _pieces(answer, kept)])
        kept.pieces = [data]
        body = self._localised(kept, data)
        return web.Response(status=kept.status, headers=headers_for(kept.headers, self._addresses), body=body or None)

    async def _stream(
        self, request: web.BaseRequest, answer: aiohttp.ClientResponse, kept: Answered
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=kept.status, headers=headers_for(kept.headers, self._addresses))
        await response.prepare(request)
        async for piece in _pieces(answer, kept):
            await response.write(self._localised(kept, piece))
        await response.write_eof()
        return response

    def _localised(self, kept: Answered, data: bytes) -> bytes:
        return self._addresses.localised(data) if kept.is_text else data

    def _shown(self, exchange: Recorded) -> str:
        return f"{exchange.asked.method} {self._screen.request(exchange.asked).url}"

    def _failed(self, problem: str) -> web.Response:
        self.problems.append(problem)
        return unanswered(problem)


class _TooLargeError(Exception):
    pass


async def _pieces(answer: aiohttp.ClientResponse, kept: Answered) -> AsyncIterator[bytes]:
    """Yield an answer as it comes, and keep it by the platform's own pieces, whatever came in one packet."""
    size, has_ended = 0, True
    async for data, is_end in answer.content.iter_chunks():
        size += len(data)
        if size > LARGEST_ANSWER_BYTES:
            raise _TooLargeError
        if data:
            kept.pieces += [b""] if has_ended else []
            kept.pieces[-1] += data
            yield data
        has_ended = is_end
    kept.is_cut = False
