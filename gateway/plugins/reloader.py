"""Takes new and changed connectors into service while the gateway runs.

One that serves is exchanged: the changed version must serve before the other one ends, and where it cannot, the other
one serves on. Whoever reads a stream of the one that ends goes on at the other by cursor.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, MutableMapping
from datetime import timedelta
from pathlib import Path

import structlog

from gateway.errors import GatewayError
from gateway.plugins.changes import Changes
from gateway.plugins.lineage import Lineage
from gateway.plugins.reload import changed_specs
from gateway.plugins.spec import ConnectorSpec, Discovery
from gateway.plugins.supervisor import Supervisor

log: structlog.typing.FilteringBoundLogger = structlog.get_logger("gateway.connectors")

STOP_BUDGET = timedelta(seconds=20)
"""For a process to end in order: its steps take 17 s."""


class Reloader:
    """Keeps the connectors as their files are."""

    def __init__(
        self,
        find: Callable[[], Discovery],
        supervisors: MutableMapping[str, Supervisor],
        add: Callable[[ConnectorSpec], None],
        hatch: Callable[[ConnectorSpec, Lineage], Supervisor],
        may_run: Callable[[ConnectorSpec], bool],
    ) -> None:
        """Make it.

        Args:
            find: Finds the connectors that there are now.
            supervisors: Those that serve, by connector; exchanged here.
            add: Takes a connector that is new.
            hatch: Makes a supervisor for another version of a connector.
            may_run: Whether neither an operator nor the owner's settings switched a connector off.

        """
        self.beside: set[Supervisor] = set()
        """Versions on trial, and those that were exchanged and are ending."""
        self._find = find
        self._supervisors = supervisors
        self._add = add
        self._hatch = hatch
        self._may_run = may_run

    async def follow(self, changes: Changes) -> None:
        """Take what changes, for ever."""
        async for changed in changes:
            try:
                await self._refresh(changed)
            except Exception:
                # A bug here must not end the watch over all other connectors.
                log.exception("changed connectors not taken", files=len(changed))

    async def _refresh(self, changed: Collection[Path]) -> None:
        try:
            discovery = await asyncio.to_thread(self._find)
        except GatewayError as error:
            log.warning("connectors stay as they are", why=str(error))
            return
        known = {connector_id: supervisor.standing.spec for connector_id, supervisor in self._supervisors.items()}
        await asyncio.gather(*(self._renew(spec) for spec in changed_specs(known, discovery.specs, changed)))

    async def _renew(self, spec: ConnectorSpec) -> None:
        """Go on with a connector as it is now."""
        log.info("connector changed", connector=spec.id, origin=spec.origin)
        old = self._supervisors.get(spec.id)
        if old is None:
            self._add(spec)
        elif not spec.settings.enabled:
            old.standing.spec = spec
            await old.disable()
        elif old.serving() is None or spec.is_attached or old.standing.spec.is_attached:
            old.change(spec)
            if self._may_run(spec):
                old.enable()
        elif spec.problem:
            self._keep(old, spec, spec.problem)
        else:
            await self._exchange(old, spec)

    async def _exchange(self, old: Supervisor, spec: ConnectorSpec) -> None:
        fresh = self._hatch(spec, old.lineage)
        self.beside.add(fresh)
        try:
            problem = await fresh.start_beside()
            if problem or old.is_switched_off:
                await fresh.stop(STOP_BUDGET)
                self._keep(old, spec, problem or "it was switched off meanwhile")
                return
            self.beside.add(old)
            self._supervisors[spec.id] = fresh
            before, after = old.standing.generation, fresh.standing.generation
            fresh.standing.note_reload(f"process {after} took over from process {before} with the changed files")
            await old.stop(STOP_BUDGET)
        finally:
            self.beside -= {fresh, old}

    def _keep(self, old: Supervisor, spec: ConnectorSpec, why: str) -> None:
        log.warning("changed connector not taken", connector=spec.id, why=why)
        old.keep(spec, why)
