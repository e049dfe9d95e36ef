"""Five vendors' APIs on one server, each in a shape of its own: pods, fine-tunes, runs, models and endpoints."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.typedefs import Handler

KEY = "vendor-key-4f1d"
WEIGHTS = b"weights" * 10_000
Body = dict[str, object]


@dataclass
class Vendors:
    """Keeps what it was sent; attributes say how it answers."""

    pods: dict[str, Body] = field(default_factory=dict)
    tunes: dict[str, Body] = field(default_factory=dict)
    endpoints: dict[str, Body] = field(default_factory=dict)
    models: dict[str, bytes] = field(default_factory=dict)
    deletes: int = 0
    """How often the end of an endpoint was asked for."""
    delete_status: int = 200
    """What such a wish is answered with."""
    create_status: int = 201
    """What the wish for an endpoint is answered with, which is made in any case but after a refusal."""
    url: str = ""

    @property
    def credentials(self) -> dict[str, str]:
        return {"api_key": KEY, "base_url": self.url}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Vendors]:
        app = web.Application(middlewares=[_authenticated])
        app.add_routes([*self._training_routes(), *self._model_routes()])
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    def _training_routes(self) -> list[web.RouteDef]:
        return [
            web.get("/me", self.me),
            web.get("/gpus", self.gpus),
            web.post("/pods", self.rent),
            web.get("/pods/{id}", self.pod),
            web.delete("/pods/{id}", self.end_pod),
            web.get("/pods/{id}/log", self.pod_log),
            web.post("/fine-tunes", self.tune),
            web.get("/fine-tunes/{id}", self.look_at_tune),
            web.get("/fine-tunes/{id}/events", self.tune_events),
            web.get("/fine-tunes/{id}/weights", self.weights),
            web.get("/runs/{id}/history", self.history),
        ]

    def _model_routes(self) -> list[web.RouteDef]:
        return [
            web.get("/models", self.search),
            web.get("/models/{name}", self.model),
            web.put("/models/{name}", self.put_model),
            web.post("/endpoints", self.deploy),
            web.get("/endpoints/{id}", self.endpoint),
            web.patch("/endpoints/{id}", self.change_endpoint),
            web.delete("/endpoints/{id}", self.end_endpoint),
            web.post("/endpoints/{id}/predict", self.predict),
        ]

    async def me(self, request: web.Request) -> web.Response:
        return web.json_response({"user": "me"})

    async def gpus(self, request: web.Request) -> web.Response:
        gpu = {"slug": "rtx4090", "title": "RTX 4090", "memory": 24, "usd_per_hour": 0.69, "spot": 0.31, "zone": "eu-1"}
        return web.json_response([gpu])

    async def rent(self, request: web.Request) -> web.Response:
        pod_id = f"pod-{len(self.pods) + 1}"
        self.pods[pod_id] = {"desired": "RUNNING", "wish": await request.json()}
        return web.json_response({"id": pod_id})

    async def pod(self, request: web.Request) -> web.Response:
        return web.json_response(self.pods[request.match_info["id"]])

    async def end_pod(self, request: web.Request) -> web.Response:
        self.pods[request.match_info["id"]]["desired"] = "TERMINATED"
        return web.json_response({})

    async def pod_log(self, request: web.Request) -> web.Response:
        return web.Response(text="booting\ntraining\n")

    async def tune(self, request: web.Request) -> web.Response:
        tune_id = f"ft-{len(self.tunes) + 1}"
        self.tunes[tune_id] = {"wish": await request.json(), "looks": 0}
        return web.json_response({"data": {"id": tune_id}}, status=201)

    async def look_at_tune(self, request: web.Request) -> web.Response:
        tune = self.tunes[request.match_info["id"]]
        looks = tune["looks"] = int(str(tune["looks"])) + 1
        return web.json_response({"data": {"phase": ("queued", "training")[looks - 1] if looks < 3 else "done"}})

    async def tune_events(self, request: web.Request) -> web.Response:
        return web.json_response({"events": [{"message": "epoch 1"}, {"message": "epoch 2"}]})

    async def weights(self, request: web.Request) -> web.Response:
        return web.Response(body=WEIGHTS)

    async def history(self, request: web.Request) -> web.Response:
        return web.json_response([{"_step": step, "loss": 1 / step} for step in (1, 2, 4)])

    async def search(self, request: web.Request) -> web.Response:
        found = [name for name in self.models if request.query["q"] in name]
        return web.json_response([{"modelId": name, "downloads": 7} for name in found])

    async def model(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self.models:
            raise web.HTTPNotFound(text="no such model")
        return web.json_response({"modelId": name, "size": len(self.models[name])})

    async def put_model(self, request: web.Request) -> web.Response:
        self.models[request.match_info["name"]] = await request.read()
        return web.json_response({})

    async def deploy(self, request: web.Request) -> web.Response:
        wish = await request.json()
        if self.create_status == 400:
            raise web.HTTPBadRequest(text="there is no such model")
        self.endpoints[wish["name"]] = {**wish, "looks": 0}
        return web.json_response({"endpoint": wish["name"]}, status=self.create_status)

    async def endpoint(self, request: web.Request) -> web.Response:
        return web.json_response(self._endpoint(request))

    async def change_endpoint(self, request: web.Request) -> web.Response:
        self._endpoint(request).update(await request.json())
        return web.json_response({})

    async def end_endpoint(self, request: web.Request) -> web.Response:
        self.deletes += 1
        self._endpoint(request)
        if self.delete_status == 200:
            del self.endpoints[request.match_info["id"]]
        return web.json_response({}, status=self.delete_status)

    async def predict(self, request: web.Request) -> web.Response:
        self._endpoint(request)
        asked = (await request.json())["prompt"]
        return web.json_response({"choices": [{"text": asked.upper()}], "usage": {"tokens": 3}})

    def _endpoint(self, request: web.Request) -> Body:
        try:
            return self.endpoints[request.match_info["id"]]
        except KeyError:
            raise web.HTTPNotFound(text=json.dumps({"error": "no such endpoint"})) from None


@web.middleware
async def _authenticated(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.headers.get("Authorization") != f"Bearer {KEY}":
        raise web.HTTPUnauthorized(text="unknown key")
    return await handler(request)
