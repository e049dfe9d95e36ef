"""A real gateway in a process of its own, started, killed and started again like an operator's."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import psutil

from peftstudio.gateway.v1.artifacts_service_pb2_grpc import ArtifactsServiceStub
from peftstudio.gateway.v1.catalog_service_pb2_grpc import CatalogServiceStub
from peftstudio.gateway.v1.connections_service_pb2_grpc import ConnectionsServiceStub
from peftstudio.gateway.v1.connectors_service_pb2_grpc import ConnectorsServiceStub
from peftstudio.gateway.v1.jobs_service_pb2_grpc import JobsServiceStub

if TYPE_CHECKING:
    from peftstudio.gateway.v1.artifacts_service_pb2_grpc import ArtifactsServiceAsyncStub
    from peftstudio.gateway.v1.catalog_service_pb2_grpc import CatalogServiceAsyncStub
    from peftstudio.gateway.v1.connections_service_pb2_grpc import ConnectionsServiceAsyncStub
    from peftstudio.gateway.v1.connectors_service_pb2_grpc import ConnectorsServiceAsyncStub
    from peftstudio.gateway.v1.jobs_service_pb2_grpc import JobsServiceAsyncStub

START_SECONDS = 60.0
STOP_SECONDS = 30.0
PLUGINS = Path(__file__).parent / "plugins"
PEFTSTUDIO = Path(sys.executable).with_name("peftstudio")


class Stubs:
    """All services of one gateway, with its token on every call."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.connectors: ConnectorsServiceAsyncStub = ConnectorsServiceStub(channel)
        self.connections: ConnectionsServiceAsyncStub = ConnectionsServiceStub(channel)
        self.jobs: JobsServiceAsyncStub = JobsServiceStub(channel)
        self.artifacts: ArtifactsServiceAsyncStub = ArtifactsServiceStub(channel)
        self.catalog: CatalogServiceAsyncStub = CatalogServiceStub(channel)


@dataclass
class GatewayProcess:
    """One data folder, and the gateway that runs in it at the time."""

    data_dir: Path
    arguments: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()
    """Comes before its command; must become it."""
    process: subprocess.Popen[bytes] | None = None
    log_path: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log_path = self.data_dir.with_suffix(".log")

    async def start(self) -> None:
        """Start it and wait until it announces itself."""
        command = [str(PEFTSTUDIO), "serve", "--port", "0", "--data-dir", str(self.data_dir), "--plugins", str(PLUGINS)]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: ASYNC220 - it takes a millisecond, and the test waits for it anyway
                [*self.prefix, *command, *self.arguments],
                env=operators_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._is_announced():
            assert self.process.poll() is None, self.log_path.read_text()
            assert time.monotonic() < deadline, self.log_path.read_text()
            await asyncio.sleep(0.02)

    async def kill(self) -> None:
        """End it without a chance to say goodbye."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(self.process.wait, STOP_SECONDS)

    async def stop(self) -> int:
        """End it in order and return its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self.process.wait, STOP_SECONDS)

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def endpoint(self) -> dict[str, str | int]:
        endpoint: dict[str, str | int] = json.loads((self.data_dir / "endpoint.json").read_text())
        return endpoint

    @property
    def token(self) -> str:
        return (self.data_dir / "token").read_text().strip()

    def memory_bytes(self) -> int:
        """Return the resident memory of the gateway itself."""
        return int(psutil.Process(self.pid).memory_info().rss)

    @asynccontextmanager
    async def connected(self, token: str | None = None) -> AsyncIterator[Stubs]:
        """Give stubs that send the token with every call."""
        bearer = grpc.access_token_call_credentials(token or self.token)
        secure = grpc.composite_channel_credentials(grpc.local_channel_credentials(), bearer)
        async with grpc.aio.secure_channel(str(self.endpoint["address"]), secure) as channel:
            yield Stubs(channel)

    def _is_announced(self) -> bool:
        try:
            return self.process is not None and self.endpoint["pid"] == self.process.pid
        except (FileNotFoundError, ValueError):
            return False


def operators_environment() -> dict[str, str]:
    """Give what an operator's shell would: a command line that ran within this process set things for gRPC."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GRPC_")}


@asynccontextmanager
async def gateway_process(
    data_dir: Path, *arguments: str, prefix: tuple[str, ...] = ()
) -> AsyncIterator[GatewayProcess]:
    """Run a gateway for a test, and leave nothing of it behind."""
    gateway = GatewayProcess(data_dir, arguments, prefix)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()
        for child in _processes_of(data_dir):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)


def _processes_of(data_dir: Path) -> list[int]:
    """Return the processes that work in the data folder, e.g. trainings that a test left."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if str(data_dir) in " ".join(process.cmdline()) or process.cwd().startswith(str(data_dir)):
                found.append(process.pid)
    return found
