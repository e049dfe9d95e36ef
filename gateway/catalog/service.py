"""Machines, prices and models of all connections."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from gateway.catalog.compare import Comparing
from gateway.catalog.estimate import estimate_micros
from gateway.catalog.fresh import Fresh
from gateway.catalog.model import Comparison, Model, Price, Requirements, Resource
from gateway.clock import Clock
from gateway.connections.access import Directory
from gateway.connections.model import Connection
from gateway.errors import InvalidRequest, PlatformTimeout, Unsupported
from gateway.platform import Platforms

ANSWER_TIME = timedelta(seconds=10)
"""How long one platform may take for one answer: a person is waiting."""

LIFETIME = timedelta(seconds=60)
"""How long machines and prices are believed: short enough for spot markets, long enough for a page full of calls."""

MAX_MODELS = 1000
"""The most that a search may ask for."""

Answer = TypeVar("Answer")


class Catalog:
    """What platforms offer. Close it to end the questions that are under way."""

    def __init__(self, platforms: Platforms, connections: Directory, clock: Clock) -> None:
        self._platforms = platforms
        self._connections = connections
        self._clock = clock
        self._resources: Fresh[str, list[Resource]] = Fresh(clock, LIFETIME)
        self._prices: Fresh[tuple[str, str], Price] = Fresh(clock, LIFETIME)

    async def close(self) -> None:
        """End all questions."""
        await asyncio.gather(self._resources.close(), self._prices.close())

    async def resources(self, connection: str) -> list[Resource]:
        """List the machines of a connection, by id; from at most `LIFETIME` ago."""
        return await self._machines(await self._connections.get(connection))

    async def price(self, connection: str, resource_id: str) -> Price:
        """Say what a machine costs; from at most `LIFETIME` ago."""
        return await self._price(await self._connections.get(connection), resource_id)

    async def estimate(self, connection: str, resource_id: str, duration: timedelta) -> tuple[int, Price]:
        """Say what a machine costs for so long, in millionths, and the price that this was computed from.

        Raises:
            InvalidRequest: The duration is negative.
            Unsupported: The price is not one of time.
        """
        _check_duration(duration, "duration")
        found = await self._connections.get(connection)
        price = await self._price(found, resource_id)
        amount = estimate_micros(price, duration)
        if amount is None:
            raise Unsupported(found.connector_id, f"a price by time for {resource_id!r}: it charges per token")
        return amount, price

    async def compare(self, wanted: Requirements) -> Comparison:
        """Ask connections for machines, all at once; those that cannot be asked in time are named with the reason.

        Raises:
            InvalidRequest: The duration is negative.
            NotFound: A connection that is named in the requirements does not exist.
        """
        _check_duration(wanted.duration, "requirements.duration")
        names = wanted.connection_ids
        named = [await self._connections.get(name) for name in names] if names else await self._connections.all()
        chosen = {connection.id: connection for connection in named}
        comparing = Comparing(wanted, self._machines, self._price, ANSWER_TIME)
        return await comparing.ask(list(chosen.values()), self._clock.now())

    async def search_models(self, connection: str, query: str, limit: int) -> list[Model]:
        """Search a platform's model registry, best first."""
        platform = await self._platforms.platform((await self._connections.get(connection)).id)
        return await platform.search_models(query, min(limit, MAX_MODELS))

    async def model(self, connection: str, model_id: str) -> Model:
        """Get the details of one model."""
        platform = await self._platforms.platform((await self._connections.get(connection)).id)
        return await platform.model(model_id)

    async def _machines(self, connection: Connection) -> list[Resource]:
        async def ask() -> list[Resource]:
            platform = await self._platforms.platform(connection.id)
            return sorted(await platform.resources(), key=lambda resource: resource.id)

        return await self._resources.get(connection.id, lambda: _in_time(connection, ask))

    async def _price(self, connection: Connection, resource_id: str) -> Price:
        async def ask() -> Price:
            return await (await self._platforms.platform(connection.id)).price(resource_id)

        return await self._prices.get((connection.id, resource_id), lambda: _in_time(connection, ask))


async def _in_time(connection: Connection, ask: Callable[[], Awaitable[Answer]]) -> Answer:
    try:
        async with asyncio.timeout(ANSWER_TIME.total_seconds()):
            return await ask()
    except TimeoutError as error:
        raise PlatformTimeout(
            f"connection {connection.name!r} did not answer within {ANSWER_TIME.total_seconds():g} s; try again"
        ) from error


def _check_duration(duration: timedelta, field: str) -> None:
    if duration < timedelta(0):
        raise InvalidRequest.of(field, "is negative; say how long the job is expected to run")
