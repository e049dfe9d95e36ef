"""One comparison of prices: all connections at once, each with its own deadline, and whatever was found by then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

from gateway.catalog.model import Comparison, Offer, OfferError, Price, Requirements, Resource
from gateway.catalog.offers import make_offer, meets, ranked
from gateway.connections.model import Connection
from gateway.errors import GatewayError, PlatformTimeout

PRICES_AT_ONCE = 8
"""Prices that one connection is asked for at the same time: its platform limits calls, too."""

Machines = Callable[[Connection], Awaitable[list[Resource]]]
PriceOf = Callable[[Connection, str], Awaitable[Price]]


class Comparing:
    """Ask once; what was found stays, whatever fails after it."""

    def __init__(self, wanted: Requirements, machines: Machines, price: PriceOf, answer_time: timedelta) -> None:
        self._wanted = wanted
        self._machines = machines
        self._price = price
        self._seconds = answer_time.total_seconds()
        self._offers: list[Offer] = []
        self._errors: dict[str, GatewayError] = {}

    async def ask(self, connections: Sequence[Connection], now: datetime) -> Comparison:
        """Ask these connections."""
        async with asyncio.TaskGroup() as group:
            for connection in connections:
                group.create_task(self._ask_one(connection))
        errors = (
            OfferError(connection_id=connection_id, reason=error.reason.value, message=error.message)
            for connection_id, error in sorted(self._errors.items())
        )
        return Comparison(offers=ranked(self._offers), errors=tuple(errors), as_of=now)

    async def _ask_one(self, connection: Connection) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                await self._ask_all_prices(connection)
        except TimeoutError:
            late = PlatformTimeout(f"did not tell all within {self._seconds:g} s; some of its machines may be missing")
            self._errors.setdefault(connection.id, late)
        except GatewayError as error:
            self._errors.setdefault(connection.id, error)

    async def _ask_all_prices(self, connection: Connection) -> None:
        machines = [machine for machine in await self._machines(connection) if meets(machine, self._wanted)]
        slots = asyncio.Semaphore(PRICES_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for machine in machines:
                group.create_task(self._ask_price(connection, machine, slots))

    async def _ask_price(self, connection: Connection, machine: Resource, slots: asyncio.Semaphore) -> None:
        async with slots:
            try:
                price = await self._price(connection, machine.id)
            except GatewayError as error:
                self._errors.setdefault(connection.id, error)
            else:
                self._offers.append(make_offer(connection, machine, price, self._wanted))
