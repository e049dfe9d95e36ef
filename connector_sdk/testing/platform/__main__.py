"""`python -m connector_sdk.testing.platform`: serve the platform until stdin ends, and say where on stdout."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence

from connector_sdk.testing.platform.api import PlatformApi, load_api
from connector_sdk.testing.platform.serving import served


async def serve(port: int, apis: Sequence[type[PlatformApi]]) -> None:
    """Serve on a loopback port until stdin ends; 0 = any that is free."""
    async with served(apis, port) as url:
        print(json.dumps({"url": url}), flush=True)  # noqa: T201
        await _stdin_ends()


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
    asyncio.run(serve(given.port, [load_api(target) for target in given.api]))
