"""The blocking client, for notebooks and scripts: the verbs of `Client`, over gRPC's synchronous stack."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc

from gateway.client.artifacts import Artifacts
from gateway.client.blocking import blocking, iterating
from gateway.client.catalog import Catalog
from gateway.client.connections import Connections
from gateway.client.connectors import Connectors
from gateway.client.deployments import Deployments
from gateway.client.jobs import Jobs
from gateway.client.location import Location, Locator
from gateway.client.sync_rpc import SyncRpc


class SyncJobs:
    """`Jobs` with blocking verbs and generators."""

    def __init__(self, jobs: Jobs) -> None:
        self.submit = blocking(jobs.submit)
        self.get = blocking(jobs.get)
        self.get_many = blocking(jobs.get_many)
        self.list = iterating(jobs.list)
        self.cancel = blocking(jobs.cancel)
        self.orphans = blocking(jobs.orphans)
        self.end_orphan = blocking(jobs.end_orphan)
        self.pause = blocking(jobs.pause)
        self.resume = blocking(jobs.resume)
        self.wait = blocking(jobs.wait)
        self.watch = iterating(jobs.watch)
        self.logs = iterating(jobs.logs)
        self.metrics = blocking(jobs.metrics)
        self.follow_metrics = iterating(jobs.follow_metrics)
        self.events = iterating(jobs.events)


class SyncArtifacts:
    """`Artifacts` with blocking verbs and generators."""

    def __init__(self, artifacts: Artifacts) -> None:
        self.list = iterating(artifacts.list)
        self.download = blocking(artifacts.download)
        self.upload = blocking(artifacts.upload)
        self.upload_dataset = blocking(artifacts.upload_dataset)
        self.datasets = iterating(artifacts.datasets)
        self.delete_dataset = blocking(artifacts.delete_dataset)


class SyncConnectors:
    """`Connectors` with blocking verbs and generators."""

    def __init__(self, connectors: Connectors) -> None:
        self.list = iterating(connectors.list)
        self.get = blocking(connectors.get)
        self.enable = blocking(connectors.enable)
        self.disable = blocking(connectors.disable)
        self.restart = blocking(connectors.restart)
        self.diagnose = blocking(connectors.diagnose)
        self.watch = iterating(connectors.watch)


class SyncConnections:
    """`Connections` with blocking verbs and generators."""

    def __init__(self, connections: Connections) -> None:
        self.connect = blocking(connections.connect)
        self.list = iterating(connections.list)
        self.get = blocking(connections.get)
        self.verify = blocking(connections.verify)
        self.rotate = blocking(connections.rotate)
        self.disconnect = blocking(connections.disconnect)


class SyncCatalog:
    """`Catalog` with blocking verbs and generators."""

    def __init__(self, catalog: Catalog) -> None:
        self.resources = iterating(catalog.resources)
        self.price = blocking(catalog.price)
        self.compare_prices = blocking(catalog.compare_prices)
        self.estimate = blocking(catalog.estimate)
        self.search_models = iterating(catalog.search_models)
        self.model = blocking(catalog.model)


class SyncDeployments:
    """`Deployments` with blocking verbs and generators."""

    def __init__(self, deployments: Deployments) -> None:
        self.create = blocking(deployments.create)
        self.get = blocking(deployments.get)
        self.list = iterating(deployments.list)
        self.update = blocking(deployments.update)
        self.stop = blocking(deployments.stop)
        self.invoke = blocking(deployments.invoke)
        self.metrics = blocking(deployments.metrics)


class SyncClient:
    """Talks to one gateway, blocking.

    Without arguments it finds the gateway of this machine. With a `channel` it uses that one and leaves its closing to
    whoever made it; `now` and `sleep` replace the clock.
    """

    def __init__(
        self,
        address: str | None = None,
        token: str | None = None,
        *,
        token_file: Path | None = None,
        data_dir: Path | None = None,
        tls: bool | None = None,
        ca_file: Path | None = None,
        channel: grpc.Channel | None = None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        locator = Locator(
            address=address, token=token, token_file=token_file, data_dir=data_dir, tls=tls, ca_file=ca_file
        )
        if channel is None:
            self._rpc = SyncRpc(locator.locate(), locator, now=now, sleep=sleep)
        else:
            location = Location(address=address or "the given channel", token=token or "")
            self._rpc = SyncRpc(location, channel=channel, now=now, sleep=sleep)

        self.artifacts = SyncArtifacts(Artifacts(self._rpc))
        self.catalog = SyncCatalog(Catalog(self._rpc))
        self.connections = SyncConnections(Connections(self._rpc))
        self.connectors = SyncConnectors(Connectors(self._rpc))
        self.deployments = SyncDeployments(Deployments(self._rpc))
        self.jobs = SyncJobs(Jobs(self._rpc))

    @property
    def address(self) -> str:
        """Where the gateway is."""
        return self._rpc.location.address

    def close(self) -> None:
        """Close the connection."""
        self._rpc.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
