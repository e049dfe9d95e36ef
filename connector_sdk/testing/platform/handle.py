"""The platform from a test's point of view."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from pydantic import TypeAdapter

from connector_sdk.testing.platform.faults import Call
from connector_sdk.testing.platform.rental import Rental
from connector_sdk.testing.platform.switches import Faults
from connector_sdk.testing.platform.world import ACCOUNT, KEY

START_SECONDS = 60.0
"""How long the process may take to serve: machines of CI are busy."""
STOP_SECONDS = 10.0

_RENTALS = TypeAdapter(list[Rental])


class FakePlatform:
    """A platform that runs. `url` and `key` are what a connector needs, `faults` what it is to get along with."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        """Speak to the platform at `url`."""
        self.url = url
        self.key = KEY
        self.faults = Faults(session)
        self._session = session

    @property
    def credentials(self) -> dict[str, str]:
        """What `connect` of a connector for this platform is given."""
        return {"base_url": self.url, "api_key": self.key}

    async def rentals(self) -> list[Rental]:
        """Return every machine that was ever rented, in the order of renting."""
        async with self._session.get("/admin/rentals") as answer:
            return _RENTALS.validate_json(await answer.read())

    async def held(self) -> list[Rental]:
        """Return the machines that somebody pays for now."""
        return [rental for rental in await self.rentals() if rental.is_held]

    async def arrivals(self, call: Call) -> list[float]:
        """Return when each call of a kind arrived, in seconds since 1970, whatever it was answered."""
        async with self._session.get(f"/admin/calls/{call}") as answer:
            return [float(moment) for moment in await answer.json()]

    async def accept(self, *keys: str) -> None:
        """Accept these keys and no others; without any, all are revoked."""
        await self._session.put("/admin/keys", json=dict.fromkeys(keys, ACCOUNT))

    async def set_price(self, machine: str, price_per_hour: float) -> None:
        """Change what a machine costs from now on."""
        await self._session.put(f"/admin/machines/{machine}/price", json=price_per_hour)

    async def finish(self, job_id: str) -> None:
        """Let a job end by itself, with its exit code."""
        await self._session.post(f"/admin/jobs/{job_id}/finish")

    async def change_file(self, job_id: str, name: str) -> None:
        """Give a file other bytes of the same size, and so another etag."""
        await self._session.post(f"/admin/jobs/{job_id}/files/{name}/change")

    async def uploaded(self, name: str) -> bytes:
        """Return the bytes of a file that was uploaded."""
        async with self._session.get(f"/admin/uploads/{name}") as answer:
            return await answer.read()


@asynccontextmanager
async def fake_platform(*apis: str) -> AsyncIterator[FakePlatform]:
    """Run a platform in a process of its own, with one account; it ends with the block, or with this process.

    Args:
        apis: Classes to serve, as `module:Class`; none = the platform's own API.

    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "connector_sdk.testing.platform",
        *apis,
        # What a test can import, its platform can.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            url = str(json.loads(await process.stdout.readline())["url"])
        async with platform_at(url) as platform:
            yield platform
    finally:
        await _stop(process)


@asynccontextmanager
async def platform_at(url: str) -> AsyncIterator[FakePlatform]:
    """Use a platform that runs."""
    async with aiohttp.ClientSession(url, raise_for_status=True) as session:
        yield FakePlatform(url, session)


async def _stop(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
