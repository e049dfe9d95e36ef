"""The platform that the guide's connector talks to: HTTP under `/v1`, and a WebSocket for each job's log."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field

from aiohttp import WSCloseCode, web
from aiohttp.typedefs import Handler

KEYS = frozenset({"valid_key", "test_key"})
WRONG_KEY_WORDS = "this key is not known here"
ADAPTER = b"safetensors" * 50_000
OLD_JOB = "test_job_id"
LINES = 40
LARGEST_UPLOAD_BYTES = 2**26
GPU = {"id": "gpu-a", "name": "A100 80 GB", "gpu_type": "A100", "gpu_count": 2, "vram_gb": 80, "available": True}


@dataclass
class Job:
    """One job; each look at it sees the next status until the last one stays."""

    payload: dict[str, object]
    ahead: list[str]
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def look(self) -> str:
        """Return the status."""
        status = self.ahead.pop(0) if len(self.ahead) > 1 else self.ahead[0]
        if status == "completed":
            self.done.set()
        return status


class MyPlatform:
    """Keeps what it was sent."""

    def __init__(self, course: tuple[str, ...] = ("pending", "running", "completed")) -> None:
        self.course = course
        self.jobs: dict[str, Job] = {OLD_JOB: Job({}, ["completed"])}
        self.jobs[OLD_JOB].look()
        self.uploads: list[tuple[str, bytes, str]] = []

    def app(self) -> web.Application:
        """Return its API."""
        app = web.Application(middlewares=[_authenticated], client_max_size=LARGEST_UPLOAD_BYTES)
        app.add_routes(
            [
                web.get("/v1/verify", self.verify),
                web.post("/v1/jobs", self.submit),
                web.get("/v1/jobs/{job}", self.look),
                web.get("/v1/jobs/{job}/logs", self.logs),
                web.get("/v1/jobs/{job}/artifact", self.artifact),
                web.post("/v1/artifacts", self.upload),
                web.get("/v1/resources", self.resources),
                web.get("/v1/resources/{resource}/pricing", self.pricing),
            ]
        )
        return app

    async def verify(self, request: web.Request) -> web.Response:
        return web.json_response({"ok": True})

    async def submit(self, request: web.Request) -> web.Response:
        job_id = f"mp-{len(self.jobs)}"
        self.jobs[job_id] = Job(await request.json(), list(self.course))
        return web.json_response({"job_id": job_id}, status=201)

    async def look(self, request: web.Request) -> web.Response:
        return web.json_response({"status": self._job(request).look()})

    async def logs(self, request: web.Request) -> web.WebSocketResponse:
        job = self._job(request)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for number in range(1, LINES + 1):
            if number > LINES // 2:
                await job.done.wait()
            await socket.send_str(f"step {number} of {LINES}")
        await socket.close(code=WSCloseCode.OK)
        return socket

    async def artifact(self, request: web.Request) -> web.Response:
        if not self._job(request).done.is_set():
            raise web.HTTPConflict(text="the job is not done")
        return web.Response(body=ADAPTER)

    async def upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        file = form["file"]
        assert isinstance(file, web.FileField)
        self.uploads.append((file.filename, file.file.read(), str(form["metadata"])))
        return web.json_response({"artifact_id": f"artifact-{len(self.uploads)}"}, status=201)

    async def resources(self, request: web.Request) -> web.Response:
        return web.json_response({"resources": [GPU]})

    async def pricing(self, request: web.Request) -> web.Response:
        if request.match_info["resource"] != GPU["id"]:
            raise web.HTTPNotFound(text="no such resource")
        return web.json_response({"hourly_rate": 2.49, "currency": "EUR", "billing_increment": 1})

    def _job(self, request: web.Request) -> Job:
        try:
            return self.jobs[request.match_info["job"]]
        except KeyError:
            raise web.HTTPNotFound(text=json.dumps({"error": "no such job"})) from None


@web.middleware
async def _authenticated(request: web.Request, handler: Handler) -> web.StreamResponse:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer" or key not in KEYS:
        raise web.HTTPUnauthorized(text=WRONG_KEY_WORDS)
    return await handler(request)
