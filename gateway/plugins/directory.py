"""All connectors of a gateway: what the rest of it asks about them, and asks them for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import structlog

from gateway.errors import ConnectorDown, NotFound
from gateway.plugins.changes import Changes
from gateway.plugins.client import ConnectorClient
from gateway.plugins.incubator import Incubator
from gateway.plugins.lineage import Lineage
from gateway.plugins.model import ConnectorStatus, Death, Description
from gateway.plugins.reloader import Reloader
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
        places: Sequence[Path] = (),
        incubator: Incubator,
        disabled: DisabledStore,
        parallel_starts: int,
        has_jobs: Callable[[str], bool] = lambda connector_id: False,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Make it; nothing is read or started yet.

        Args:
            find: Finds the connectors that there are now.
            places: Folders and files that are watched for changes.
            incubator: Makes their processes.
            disabled: Which an operator switched off.
            parallel_starts: How many may start at a time.
            has_jobs: Whether a connector has open jobs and must not rest.
            now: Tells the time.

        """
        self._find = find
        self._places = places
        self._incubator = incubator
        self._store = disabled
        self._slots = asyncio.Semaphore(parallel_starts)
        self._has_jobs = has_jobs
        self._now = now
        self._supervisors: dict[str, Supervisor] = {}
        self._disabled: frozenset[str] = frozenset()
        self._board = Board(self.list)
        self._reloader = Reloader(find, self._supervisors, self._add, self._supervisor, self._may_run)
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Find the connectors and begin to supervise them; a process starts when it is needed.

        Raises:
            BrokenSettings: The owner's settings cannot be used.

        """
        changes = Changes(self._places)
        discovery = self._find()
        for warning in discovery.warnings:
            log.warning("odd connector", why=warning)
        self._disabled = await self._store.load()
        for spec in sorted(discovery.specs, key=lambda spec: spec.id):
            self._add(spec)
        self._watching = asyncio.create_task(self._reloader.follow(changes))

    async def stop(self) -> None:
        """End all processes, in parallel."""
        supervisors = {*self._supervisors.values(), *self._reloader.beside}
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
        await asyncio.gather(*(supervisor.stop(STOP_BUDGET) for supervisor in supervisors))
        await self._incubator.launcher.close()
        self._board.close()

    def list(self) -> list[ConnectorStatus]:
        """Return all connectors, by id."""
        return [self._supervisors[connector_id].standing.status() for connector_id in sorted(self._supervisors)]

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
        return self._get(connector_id).lineage.deaths.latest_first()

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
        while True:
            supervisor = self._get(connector_id)
            try:
                return await supervisor.ready(limit, newer_than)
            except ConnectorDown:
                if self._supervisors[connector_id] is supervisor:
                    raise

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

    def _add(self, spec: ConnectorSpec) -> None:
        if spec.problem:
            log.error("connector cannot be used", connector=spec.id, why=spec.problem)
        supervisor = self._supervisor(spec, Lineage.of(spec.id, self._incubator.folders, self._now))
        self._supervisors[spec.id] = supervisor
        supervisor.start(is_disabled=not self._may_run(spec))

    def _may_run(self, spec: ConnectorSpec) -> bool:
        return spec.settings.enabled and spec.id not in self._disabled

    def _supervisor(self, spec: ConnectorSpec, lineage: Lineage) -> Supervisor:
        standing = Standing(spec, self._now, lambda status: self._publish(standing, status))
        return Supervisor(standing, lineage, self._incubator, self._slots, self._has_jobs, self._now)

    def _publish(self, standing: Standing, status: ConnectorStatus) -> None:
        """Tell of a change, but not of one of a version that is on trial or was exchanged."""
        if (present := self._supervisors.get(status.id)) and present.standing is standing:
            self._board.publish(status)

    async def _remember(self, ids: frozenset[str]) -> None:
        self._disabled = ids
        await self._store.save(ids)
