"""`python -m connector_sdk.testing.platform`: serve the platform until stdin ends, and say where on stdout."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence

from aiohttp import web

from connector_sdk.testing.platform.admin_api import AdminApi
from connector_sdk.testing.platform.api import PlatformApi, load_api
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


async def serve(port: int, apis: Sequence[type[PlatformApi]]) -> None:
    """Serve on a loopback port until stdin ends; 0 = any that is free."""
    world = World()
    app = web.Application(middlewares=[Gate(world).pass_through], client_max_size=UPLOAD_BYTES)
    for api in (*apis, AdminApi):
        app.add_routes(api(world).routes())
    runner = web.AppRunner(app, shutdown_timeout=STOP_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        print(json.dumps({"url": f"http://127.0.0.1:{runner.addresses[0][1]}"}), flush=True)  # noqa: T201
        await _stdin_ends()
    finally:
        await runner.cleanup()


async def _stdin_ends() -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(1024):
        pass


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve a platform that rents out machines which are not there.")
    parser.add_argument("--port", type=int, default=0, help="0 = any that is free")
    parser.add_argument("api", nargs="*", metavar="MODULE:CLASS", help="what to serve instead of its own API")
    given = parser.parse_args()
    asyncio.run(serve(given.port, [load_api(target) for target in given.api] or OWN))
