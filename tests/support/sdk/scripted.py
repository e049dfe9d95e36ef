"""A real HTTP server that answers as it is told, one answer after the other, and a clock that moves by sleeping."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.typedefs import Handler

CUT = -1
"""In place of a status: the connection is cut in the middle of the body."""


@asynccontextmanager
async def served(handler: Handler) -> AsyncIterator[str]:
    """Answer every request by a handler, at the address that is given."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@dataclass
class Answer:
    """What one request is answered with."""

    status: int = 200
    body: str = "{}"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class ScriptedServer:
    """Answers by its script; the last answer stays."""

    script: list[Answer] = field(default_factory=lambda: [Answer()])
    requests: list[str] = field(default_factory=list)
    sent_headers: list[Mapping[str, str]] = field(default_factory=list)
    url: str = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ScriptedServer]:
        async with served(self._answer) as self.url:
            yield self

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path}")
        self.sent_headers.append(dict(request.headers))
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if answer.status == CUT:
            response = web.StreamResponse(headers={"Content-Length": str(len(answer.body) + 9)})
            await response.prepare(request)
            await response.write(answer.body.encode())
            assert request.transport
            request.transport.close()
            return response
        return web.Response(status=answer.status, text=answer.body, headers=answer.headers)


@dataclass
class SleepClock:
    """Time that passes only while somebody sleeps."""

    now: float = 0.0
    naps: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds
