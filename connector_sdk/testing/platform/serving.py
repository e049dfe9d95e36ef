"""Serve a platform."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiohttp import web

from connector_sdk.testing.platform.admin_api import AdminApi
from connector_sdk.testing.platform.api import PlatformApi
from connector_sdk.testing.platform.files_api import FilesApi
from connector_sdk.testing.platform.gate import Gate
from connector_sdk.testing.platform.jobs_api import JobsApi
from connector_sdk.testing.platform.logs_api import LogsApi
from connector_sdk.testing.platform.machines_api import MachinesApi
from connector_sdk.testing.platform.world import World

UPLOAD_BYTES = 2**30
"""Largest file that it takes."""

STOP_SECONDS = 0.2
"""How long answers under way may take once it is to end: some are held back for ever."""

OWN: tuple[type[PlatformApi], ...] = (JobsApi, LogsApi, FilesApi, MachinesApi)


@asynccontextmanager
async def served(apis: Sequence[type[PlatformApi]] = (), port: int = 0) -> AsyncIterator[str]:
    """Serve a platform on a loopback port, and give its address.

    Args:
        apis: What is served; empty = the platform's own API.
        port: 0 = any that is free.

    """
    world = World()
    app = web.Application(middlewares=[Gate(world).pass_through], client_max_size=UPLOAD_BYTES)
    for api in (*(apis or OWN), AdminApi):
        app.add_routes(api(world).routes())
    runner = web.AppRunner(app, shutdown_timeout=STOP_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
