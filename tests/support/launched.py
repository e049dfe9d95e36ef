"""Connectors that are really launched, for tests of their supervision."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from gateway.plugins.directory import Connectors
from gateway.plugins.folders import Folders
from gateway.plugins.incubator import Incubator
from gateway.plugins.launcher import Launcher
from gateway.plugins.limits import Limits
from gateway.plugins.model import ConnectorState, ConnectorStatus
from gateway.plugins.nursery import Nursery
from gateway.plugins.remote import RemotePlatform
from gateway.plugins.spec import ConnectorSpec, Discovery

PLAIN = Path(__file__).with_name("plain_connector.py")
PATIENCE_SECONDS = 20
"""For anything that a test waits for, on a loaded machine."""
QUICK = Limits(
    start=timedelta(seconds=10),
    handshake=timedelta(seconds=5),
    drain=timedelta(milliseconds=500),
    lifeline=timedelta(milliseconds=200),
    terminate=timedelta(milliseconds=200),
)


def plain(*faults: str, connector_id: str = "plain", env_allow: tuple[str, ...] = ()) -> ConnectorSpec:
    """Return a connector that is the plain one with some faults."""
    command = (sys.executable, str(PLAIN), *faults)
    return ConnectorSpec(id=connector_id, origin="a test", command=command, env_allow=env_allow)


@dataclass
class MemoryStore:
    """A `DisabledStore` in memory."""

    ids: frozenset[str] = frozenset()

    async def load(self) -> frozenset[str]:
        return self.ids

    async def save(self, ids: frozenset[str]) -> None:
        self.ids = ids


@dataclass
class Bench:
    """Connectors over a temporary folder."""

    data_dir: Path
    specs: list[ConnectorSpec] = field(default_factory=lambda: [plain()])
    limits: Limits = QUICK
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    store: MemoryStore = field(default_factory=MemoryStore)
    heard: list[str] = field(default_factory=list)
    loads: int = 0
    has_jobs: bool = False
    forks: bool = True
    """Whether connectors on the SDK are forked from a template."""

    def __post_init__(self) -> None:
        self.folders = Folders.of(self.data_dir, os.environ.get("XDG_RUNTIME_DIR"))
        incubator = Incubator(
            launcher=Launcher(self.environment, Nursery(self.environment) if self.forks else None),
            folders=self.folders,
            limits=self.limits,
            log_level="INFO",
            hear=lambda connector, stream, line: self.heard.append(line),
        )
        self.connectors = Connectors(
            find=lambda: Discovery(tuple(self.specs)),
            incubator=incubator,
            disabled=self.store,
            parallel_starts=2,
            has_jobs=lambda connector_id: self.has_jobs,
        )

    async def __aenter__(self) -> Bench:
        await self.connectors.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.connectors.stop()

    def platform(self, connection_id: str = "c1", key: str = "key-of-the-account") -> RemotePlatform:
        async def load() -> Mapping[str, str]:
            self.loads += 1
            return {"api_key": key}

        return RemotePlatform(self.connectors, "plain", connection_id, load)

    async def until(self, *states: ConnectorState, newer_than: int = -1) -> ConnectorStatus:
        """Wait until the connector is in one of the states."""
        async with asyncio.timeout(PATIENCE_SECONDS), aclosing(self.connectors.watch("plain")) as changes:
            async for status in changes:
                if status.state in states and status.generation > newer_than:
                    return status
        raise AssertionError("the watch ended")

    async def until_deaths(self, count: int) -> None:
        """Start the connector, and wait until it has died so often."""
        waiting = asyncio.create_task(self.ready())
        async with asyncio.timeout(PATIENCE_SECONDS), aclosing(self.connectors.watch("plain")) as changes:
            async for status in changes:
                if status.restarts >= count:
                    break
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    async def ready(self) -> ConnectorStatus:
        """Start the connector and return its status."""
        await self.connectors.client("plain", timedelta(seconds=PATIENCE_SECONDS))
        return self.connectors.status("plain")

    def leftovers(self) -> list[Path]:
        """Return what is left in the folder of sockets."""
        root = self.folders.runtime_root
        return list(root.rglob("*")) if root.exists() else []


def is_alive(pid: int) -> bool:
    """Whether a process is there; a zombie counts."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
