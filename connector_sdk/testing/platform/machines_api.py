"""The platform's calls about machines."""

from __future__ import annotations

from aiohttp import web

from connector_sdk.testing.platform.rental import MachineKind
from connector_sdk.testing.platform.world import World


class MachinesApi:
    """List machines and their prices."""

    def __init__(self, world: World) -> None:
        """Answer from `world`."""
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; a route's name is the name of its call."""
        return [
            web.get("/v1/machines", self.machines, name="machines"),
            web.get("/v1/machines/{machine}/price", self.price, name="price"),
        ]

    async def machines(self, request: web.Request) -> web.Response:
        """List all machines."""
        return web.json_response({"machines": [_shown(kind) for kind in self._world.machines.values()]})

    async def price(self, request: web.Request) -> web.Response:
        """Say what one machine costs now."""
        kind = self._world.machines.get(request.match_info["machine"])
        if kind is None:
            return web.json_response({"error": "there is no such machine"}, status=404)
        return web.json_response({"price_per_hour": kind.price_per_hour, "currency": "USD"})


def _shown(kind: MachineKind) -> dict[str, object]:
    return kind.model_dump()
