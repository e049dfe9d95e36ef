"""Replay: answer from a cassette, and say clearly what has no answer in it."""

from __future__ import annotations

from functools import partial

from aiohttp import web

from connector_sdk.testing.recording.addresses import Addresses
from connector_sdk.testing.recording.answers import give
from connector_sdk.testing.recording.cassette import WEBSOCKET, Exchange, Frame
from connector_sdk.testing.recording.exchange import Message
from connector_sdk.testing.recording.matching import Likeness, differences
from connector_sdk.testing.recording.requests import TUNNEL, asked_of, is_tunnel, unanswered
from connector_sdk.testing.recording.showing import Screen
from connector_sdk.testing.recording.sockets import play
from connector_sdk.testing.recording.tape import Tape


class Player:
    """Answer as the platform did."""

    def __init__(self, tape: Tape, likeness: Likeness, screen: Screen, addresses: Addresses) -> None:
        """Play `tape` to requests that are seen through `screen`."""
        self._tape = tape
        self._likeness = likeness
        self._screen = screen
        self._addresses = addresses
        self.problems: list[str] = []

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        if is_tunnel(request):
            return self._failed(TUNNEL)
        asked = self._screen.request(await asked_of(request, self._addresses))
        found = self._tape.play(asked)
        if found is None:
            return self._failed(self._tape.miss(asked))
        if asked.method == WEBSOCKET:
            return await play(request, found, partial(self._fits, found))
        return await give(request, found.answer, self._addresses)

    def _fits(self, exchange: Exchange, recorded: Frame, message: Message) -> bool:
        said = differences(*map(self._likeness.frame_fields, (self._screen.frame(message), recorded)))
        if said:
            self.problems.append(f"{exchange.request.method} {exchange.request.url}: {'; '.join(said)}")
        return not said

    def _failed(self, problem: str) -> web.Response:
        self.problems.append(problem)
        return unanswered(problem)
