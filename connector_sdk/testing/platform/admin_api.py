"""The switches: what tests set and ask. No key is needed, and nothing here ever fails on purpose."""

from __future__ import annotations

from aiohttp import web

from connector_sdk.testing.platform.faults import Conditions, ReplyFault
from connector_sdk.testing.platform.world import World


class AdminApi:
    """Set faults, keys and prices; end jobs; tell what was rented and called."""

    def __init__(self, world: World) -> None:
        """Change `world`."""
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; without names, by which the gate lets them through."""
        return [
            web.post("/admin/faults", self.add_fault),
            web.delete("/admin/faults", self.clear),
            web.patch("/admin/conditions", self.set_conditions),
            web.put("/admin/keys", self.set_keys),
            web.put("/admin/machines/{machine}/price", self.set_price),
            web.post("/admin/jobs/{job}/finish", self.finish),
            web.post("/admin/jobs/{job}/files/{file}/change", self.change_file),
            web.get("/admin/rentals", self.rentals),
            web.get("/admin/calls/{call}", self.calls),
            web.get("/admin/uploads/{model}", self.upload),
        ]

    async def add_fault(self, request: web.Request) -> web.Response:
        """Let a call go wrong."""
        self._world.faults.append(ReplyFault.model_validate_json(await request.read()))
        return web.Response()

    async def clear(self, request: web.Request) -> web.Response:
        """Let everything go well."""
        self._world.clear()
        return web.Response()

    async def set_conditions(self, request: web.Request) -> web.Response:
        """Change some conditions; the others stay."""
        now = self._world.conditions.model_dump() | await request.json()
        self._world.conditions = Conditions.model_validate(now)
        return web.Response()

    async def set_keys(self, request: web.Request) -> web.Response:
        """Accept these keys and no others; each has the name of its account."""
        self._world.keys = dict(await request.json())
        return web.Response()

    async def set_price(self, request: web.Request) -> web.Response:
        """Change what a machine costs from now on."""
        self._world.machines[request.match_info["machine"]].price_per_hour = float(await request.json())
        return web.Response()

    async def finish(self, request: web.Request) -> web.Response:
        """Let a job end by itself."""
        self._world.jobs[request.match_info["job"]].finish(self._world.now())
        return web.Response()

    async def change_file(self, request: web.Request) -> web.Response:
        """Give a file other bytes."""
        self._world.jobs[request.match_info["job"]].files[request.match_info["file"]].version += 1
        return web.Response()

    async def rentals(self, request: web.Request) -> web.Response:
        """List every machine that was ever rented."""
        return web.json_response([rental.model_dump(mode="json") for rental in self._world.rentals()])

    async def calls(self, request: web.Request) -> web.Response:
        """Tell when each call of a kind arrived."""
        return web.json_response(self._world.arrivals[request.match_info["call"]])

    async def upload(self, request: web.Request) -> web.Response:
        """Give the bytes of a model as they arrived."""
        return web.Response(body=self._world.uploads[request.match_info["model"]])
