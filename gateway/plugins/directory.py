"""All connectors of a gateway: what the rest of it asks about them, and asks them for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog

from gateway.errors import NotFound
from gateway.plugins.client import ConnectorClient
from gateway.plugins.incubator import Incubator
from gateway.plugins.model import ConnectorStatus, Death, Description
from gateway.plugins.spec import ConnectorSpec, Discovery
from gateway.plugins.standing import Standing
from gateway.plugins.supervisor import Supervisor
from gateway.plugins.watching import Board

log: structlog.typing.FilteringBoundLogger = structlog.get_logger("gateway.connectors")

STOP_BUDGET = timedelta(seconds=20)
"""For all processes to end, in parallel: the steps of one take 17 s."""
READY_LIMIT = timedelta(seconds=30)
"""For a process to start when it is needed; a start may take as long."""


class DisabledStore(Protocol):
    """Keeps which connectors an operator switched off."""

    async def load(self) -> frozenset[str]:
        """Return their ids."""
        ...

    async def save(self, ids: frozenset[str]) -> None:
        """Replace their ids."""
        ...


class Connectors:
    """Finds connectors, and supervises one process for each that is needed."""

    def __init__(
        self,
        *,
        find: Callable[[], Discovery],
        incubator: Incubator,
        disabled: DisabledStore,
        parallel_starts: int,
        has_jobs: Callable[[str], bool] = lambda connector_id: False,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._find = find
        self._incubator = incubator
        self._store = disabled
        self._slots = asyncio.Semaphore(parallel_starts)
        self._has_jobs = has_jobs
        self._now = now
        self._supervisors: dict[str, Supervisor] = {}
        self._disabled: frozenset[str] = frozenset()
        self._board = Board(self.list)

    async def start(self) -> None:
        """Find the connectors and begin to supervise them; a process starts when it is needed.

        Raises:
            BrokenSettings: The owner's settings cannot be used.

        """
        discovery = self._find()
        for warning in discovery.warnings:
            log.warning("odd connector", why=warning)
        self._disabled = await self._store.load()
        for spec in sorted(discovery.specs, key=lambda spec: spec.id):
            if spec.problem:
                log.error("connector cannot be used", connector=spec.id, why=spec.problem)
            supervisor = self._supervisor(spec)
            self._supervisors[spec.id] = supervisor
            supervisor.start(is_disabled=spec.id in self._disabled or not spec.settings.enabled)

    async def stop(self) -> None:
        """End all processes, in parallel."""
        await asyncio.gather(*(supervisor.stop(STOP_BUDGET) for supervisor in self._supervisors.values()))
        self._board.close()

    def list(self) -> list[ConnectorStatus]:
        """Return all connectors, by id."""
        return [supervisor.standing.status() for supervisor in self._supervisors.values()]

    def status(self, connector_id: str) -> ConnectorStatus:
        """Return one connector as it is now."""
        return self._get(connector_id).standing.status()

    def watch(self, connector_id: str | None = None) -> AsyncGenerator[ConnectorStatus, None]:
        """Yield every connector, or one, as it is now and whenever it changes."""
        if connector_id is not None:
            self._get(connector_id)
        return self._board.watch(connector_id)

    def deaths(self, connector_id: str) -> tuple[Death, ...]:
        """Return the last deaths, latest first."""
        return self._get(connector_id).deaths.latest_first()

    def last_lines(self, connector_id: str) -> tuple[str, ...]:
        """Return the last lines that the connector's process printed, oldest first."""
        return self._get(connector_id).last_lines()

    async def client(
        self, connector_id: str, limit: timedelta = READY_LIMIT, *, newer_than: int = 0
    ) -> ConnectorClient:
        """Return the client of a connector's process; starts the process where it rests.

        Args:
            connector_id: The connector.
            limit: How long to wait for it.
            newer_than: Generation that just failed a call, where there was one.

        Raises:
            NotFound: There is no such connector.
            ConnectorDown: It does not run and cannot be had within the limit.

        """
        return await self._get(connector_id).ready(limit, newer_than)

    def running(self, connector_id: str) -> ConnectorClient | None:
        """Return the client of a connector's process where one serves."""
        return self._get(connector_id).serving()

    async def describe(self, connector_id: str) -> Description:
        """Return what the connector says of itself; starts its process where it has never run."""
        known = self._get(connector_id).standing.description
        return known or (await self.client(connector_id)).description

    async def enable(self, connector_id: str) -> ConnectorStatus:
        """Let a connector run again."""
        supervisor = self._get(connector_id)
        await self._remember(self._disabled - {connector_id})
        supervisor.enable()
        return supervisor.standing.status()

    async def disable(self, connector_id: str) -> ConnectorStatus:
        """Stop a connector and keep it stopped, over restarts of the gateway too."""
        supervisor = self._get(connector_id)
        await self._remember(self._disabled | {connector_id})
        await supervisor.disable()
        return supervisor.standing.status()

    async def restart(self, connector_id: str) -> ConnectorStatus:
        """Read the connector's files again, stop its process in order and start another; returns when that is ready."""
        supervisor = self._get(connector_id)
        fresh = {spec.id: spec for spec in self._find().specs}
        generation = supervisor.restart(fresh.get(connector_id, supervisor.standing.spec))
        await supervisor.ready(STOP_BUDGET + READY_LIMIT, newer_than=generation)
        return supervisor.standing.status()

    def _get(self, connector_id: str) -> Supervisor:
        try:
            return self._supervisors[connector_id]
        except KeyError:
            raise NotFound("connector", connector_id) from None

    def _supervisor(self, spec: ConnectorSpec) -> Supervisor:
        standing = Standing(spec, self._now, self._board.publish)
        return Supervisor(standing, self._incubator, self._slots, self._has_jobs, self._now)

    async def _remember(self, ids: frozenset[str]) -> None:
        self._disabled = ids
        await self._store.save(ids)
