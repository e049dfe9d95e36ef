"""A small training platform with a REST API and a WebSocket for logs, on a loopback port."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

API_KEY = "acme-key-123456"
ADAPTER = b"PK\x03\x04" + b"adapter" * 100_000


class AcmePlatform:
    """Keeps what it was sent, and answers as its attributes say."""

    def __init__(self) -> None:
        self.jobs: list[dict[str, Any]] = []
        self.uploads: list[bytes] = []
        self.status = "completed"
        self.log_lines = ["epoch 1\n", "epoch 2\n", "saved\n"]
        self.url = ""
        self.submit_status = 201
        self.takes_any_id = True

    @web.middleware
    async def refuse_unknown(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        known = {f"acme-{number}" for number in range(1, len(self.jobs) + 1)} | {"a100"}
        named = {request.match_info[key] for key in ("job", "resource") if key in request.match_info}
        if not self.takes_any_id and not named <= known:
            return web.Response(status=404, text="there is no such thing")
        return await handler(request)

    async def verify(self, request: web.Request) -> web.Response:
        known = request.headers.get("Authorization") == f"Bearer {API_KEY}"
        return web.Response(status=200 if known else 401, text="" if known else "unknown key")

    async def submit(self, request: web.Request) -> web.Response:
        if self.submit_status != 201:
            return web.Response(status=self.submit_status, text="no")
        self.jobs.append(await request.json())
        return web.json_response({"job_id": f"acme-{len(self.jobs)}"}, status=201)

    async def look(self, request: web.Request) -> web.Response:
        return web.json_response({"status": self.status})

    async def logs(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for line in self.log_lines:
            await socket.send_str(line)
        await socket.close()
        return socket

    async def artifact(self, request: web.Request) -> web.Response:
        return web.Response(body=ADAPTER)

    async def upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        file = form["file"]
        assert isinstance(file, web.FileField)
        self.uploads.append(file.file.read())
        return web.json_response({"artifact_id": f"artifact-{len(self.uploads)}"}, status=201)

    async def resources(self, request: web.Request) -> web.Response:
        gpu = {"id": "a100", "name": "A100", "gpu_type": "A100", "gpu_count": 1, "vram_gb": 80, "available": True}
        return web.json_response({"resources": [gpu]})

    async def pricing(self, request: web.Request) -> web.Response:
        return web.Response(text=json.dumps({"hourly_rate": 1.89, "currency": "USD"}), content_type="application/json")

    @asynccontextmanager
    async def running(self) -> AsyncIterator["AcmePlatform"]:
        """Listen, with `url` as the base of the API."""
        app = web.Application(client_max_size=2**26, middlewares=[self.refuse_unknown])
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
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        try:
            yield self
        finally:
            await runner.cleanup()
