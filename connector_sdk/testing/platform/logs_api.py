"""The platform's logs, in the ways that platforms have them: by cursor, as text from the start, or the end alone."""

from __future__ import annotations

import asyncio

from aiohttp import web

from connector_sdk.testing.platform.job import Job
from connector_sdk.testing.platform.jobs_api import job_of
from connector_sdk.testing.platform.world import World

PAGE_LINES = 1000
LOOK_SECONDS = 0.02
"""Time between two looks whether a job has written more."""


class LogsApi:
    """Give the logs of jobs."""

    def __init__(self, world: World) -> None:
        """Answer from `world`."""
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; a route's name is the name of its call."""
        return [
            web.get("/v1/jobs/{job}/log", self.page, name="log"),
            web.get("/v1/jobs/{job}/log/text", self.text, name="log_text"),
            web.get("/v1/jobs/{job}/log/tail", self.tail, name="log_tail"),
        ]

    async def page(self, request: web.Request) -> web.Response:
        """Give the lines behind a number, and whether there will be more."""
        conditions, job = self._world.conditions, job_of(self._world, request)
        after = max(int(request.query.get("after") or 0) - conditions.log_repeats, 0)
        is_over, lines = self._read(job)
        numbered = list(enumerate(lines, 1))[after : after + PAGE_LINES]
        page = [{"number": number, "text": text} for number, text in numbered if number not in conditions.log_skips]
        conditions.log_skips = [number for number in conditions.log_skips if number > after + PAGE_LINES]
        return web.json_response({"lines": page, "ended": is_over and after + PAGE_LINES >= len(lines)})

    async def text(self, request: web.Request) -> web.StreamResponse:
        """Send the log from its first line until the job ends."""
        job = job_of(self._world, request)
        answer = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
        await answer.prepare(request)
        sent = 0
        while True:
            is_over, lines = self._read(job)
            data = "".join(self._as_text(lines)).encode()
            limit = self._world.conditions.log_cut_bytes or len(data)
            await answer.write(data[sent:limit])
            sent = min(len(data), limit)
            if is_over or (sent == limit and limit < len(data)):
                break
            await asyncio.sleep(LOOK_SECONDS)
        await answer.write_eof()
        return answer

    async def tail(self, request: web.Request) -> web.StreamResponse:
        """Send the last lines, and what is written from now on; what was before cannot be had."""
        job = job_of(self._world, request)
        answer = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
        await answer.prepare(request)
        sent: int | None = None
        while True:
            is_over, lines = self._read(job)
            sent = max(len(lines) - self._world.conditions.log_tail_lines, 0) if sent is None else sent
            await answer.write("".join(f"{line}\n" for line in lines[sent:]).encode())
            sent = len(lines)
            if is_over:
                break
            await asyncio.sleep(LOOK_SECONDS)
        await answer.write_eof()
        return answer

    def _as_text(self, lines: list[str]) -> list[str]:
        conditions = self._world.conditions
        numbered = enumerate(lines[conditions.log_lost_lines :], conditions.log_lost_lines + 1)
        return [f"{line}\n" * (2 if number in conditions.log_doubled else 1) for number, line in numbered]

    def _read(self, job: Job) -> tuple[bool, list[str]]:
        now = self._world.now()
        return job.has_ended(now), job.lines(now)
