"""What of the platform is served: its own REST API, or one that an author wrote in the shape of a vendor's."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Protocol, cast

from aiohttp import web

from connector_sdk.testing.platform.world import World


class PlatformApi(Protocol):
    """Handlers on a world. A route that has the name of a `Call` has its faults, and needs a key.

    Handlers find whose key it is in `request["account"]`, and the key in `request["key"]`.
    """

    def __init__(self, world: World) -> None:
        """Answer from `world`."""
        ...

    def routes(self) -> Sequence[web.RouteDef]:
        """Return the routes, no two of them with the same name."""
        ...


def load_api(target: str) -> type[PlatformApi]:
    """Load `module:Class`."""
    module, _, name = target.partition(":")
    return cast("type[PlatformApi]", getattr(importlib.import_module(module), name))
