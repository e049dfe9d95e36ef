"""The composition root: the one place that knows all parts and puts them together."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import structlog

from gateway import logging_setup
from gateway.accounts import Accounts, Processes
from gateway.api.artifacts import ArtifactsServicer
from gateway.api.catalog import CatalogServicer
from gateway.api.connections import ConnectionsServicer
from gateway.api.connectors import ConnectorsServicer
from gateway.api.deployments import DeploymentsServicer
from gateway.api.job_logs import JobLogs
from gateway.api.job_metrics import JobMetrics
from gateway.api.job_orphans import JobOrphans
from gateway.api.jobs import JobsServicer
from gateway.api.server import Server
from gateway.api.servicers import Servicers
from gateway.artifacts.blobs import Blobs
from gateway.artifacts.cache import Cache
from gateway.artifacts.datasets import Datasets
from gateway.artifacts.review import Review
from gateway.artifacts.service import Artifacts
from gateway.artifacts.uploads import Uploads
from gateway.catalog.service import Catalog
from gateway.clock import Clock, SystemClock
from gateway.config import Settings
from gateway.connections.model import ConnectionState
from gateway.connections.service import Connections
from gateway.connections.vault import Vault
from gateway.data_folder import DataFolder
from gateway.deployments.model import DeploymentVerbs
from gateway.deployments.service import Deployments
from gateway.errors import GatewayError
from gateway.jobs.attendant import Surroundings
from gateway.jobs.ledger import Ledger
from gateway.jobs.order import Orders
from gateway.jobs.orphans import Orphans
from gateway.jobs.service import Jobs
from gateway.jobs.submissions import Submissions
from gateway.jobs.submitter import Submitter
from gateway.jobs.tracker import Tracker
from gateway.jobs.wishes import Wishes
from gateway.logs.retention import Retention
from gateway.logs.store import LogStore
from gateway.plugins.directory import Connectors
from gateway.plugins.discovery import Finder
from gateway.plugins.fences import find_fences
from gateway.plugins.folders import Folders
from gateway.plugins.incubator import Incubator
from gateway.plugins.launcher import Launcher
from gateway.plugins.limits import Limits
from gateway.plugins.nursery import Nursery
from gateway.plugins.spec import Integrity
from gateway.store.artifacts import ArtifactStore
from gateway.store.connections import ConnectionStore
from gateway.store.connectors import DisabledConnectors
from gateway.store.database import Database
from gateway.store.deployments import DeploymentStore
from gateway.store.jobs import JobStore
from gateway.store.sqlite import SQLite
from gateway.store.uploads import UploadStore

GARBAGE_THRESHOLDS = (20_000, 50, 10)
"""Objects until the youngest are searched for garbage, and searches until older ones are: by Python's own, every open
job would be looked through again and again, a fifth of what a submission costs."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that runs."""

    address: str
    token: str
    broken: asyncio.Future[GatewayError]
    """Done if it cannot go on, with the reason."""


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Gateway]:
    """Run a gateway for as long as the block is entered.

    Raises:
        GatewayError: It cannot start; the message says what to do, and nothing is left behind.
    """
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(DataFolder(settings.data_dir))
        token = folder.token()
        database = await _ledger_database(settings, stack)
        servicers = await _compose(settings, stack, database)
        server = Server(servicers, token)
        address = await server.start(settings)
        stack.push_async_callback(server.stop)
        folder.announce(address, is_tls=settings.tls_certificate is not None)
        log.info("gateway ready", address=address, data_dir=str(settings.data_dir))
        yield Gateway(address, token, database.lost)
        log.info("gateway stopping")


def run(settings: Settings) -> None:
    """Run a gateway until SIGTERM or SIGINT.

    Raises:
        GatewayError: It cannot start; the message says what to do.
    """
    logging_setup.configure(settings.log_level, settings.log_format)
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running(settings) as gateway:
        # What was imported and composed stays: a search of it for garbage would stop every call for 50 ms.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GARBAGE_THRESHOLDS)
        gateway.broken.add_done_callback(lambda _: stop.set())
        await stop.wait()
        if gateway.broken.done():
            raise gateway.broken.result()


async def _ledger_database(settings: Settings, stack: AsyncExitStack) -> Database:
    if settings.ledger is None:
        database = await Database.open(SQLite(settings.data_dir / "ledger.db"))
    else:
        # Whoever keeps the ledger in a file needs neither.
        from gateway.store.ledger_url import LedgerUrl
        from gateway.store.postgresql import PostgreSQL

        database = await Database.open(PostgreSQL(LedgerUrl.parse(settings.ledger.get_secret_value())))
    stack.push_async_callback(database.close)
    stack.push_async_callback(_ended, asyncio.create_task(database.keep()))
    return database


async def _compose(settings: Settings, stack: AsyncExitStack, database: Database) -> Servicers:
    """Build and start all parts, in the order of their needs; the stack stops them in the other order."""
    data, clock = settings.data_dir, SystemClock()
    ledger = Ledger(JobStore(database), clock)
    left_open = await ledger.load()

    connectors = _connectors(settings, database, ledger)
    await connectors.start()
    stack.push_async_callback(connectors.stop)
    connections = _connections(data, database, connectors, ledger, clock)
    await connections.drop_former()
    accounts = Accounts(connectors, connections.get, connections.credentials, connections.note_unreachable)
    catalog = Catalog(accounts, connections, clock)
    stack.push_async_callback(catalog.close)
    files = await _files(settings, database, accounts, connections, ledger, clock)
    stack.push_async_callback(files.close)

    logs, orders = _logs(settings, stack, clock), Orders(files.datasets)
    tracker = Tracker(_surroundings(ledger, accounts, connections, orders, logs, files.artifacts, clock))
    tracker.start(left_open)
    stack.push_async_callback(tracker.stop)
    jobs = Jobs(ledger=ledger, tracker=tracker, platforms=accounts, clock=clock)
    submissions = Submissions(
        ledger=ledger,
        tracker=tracker,
        platforms=accounts,
        orders=orders,
        clock=clock,
        find_connection=connections.get,
        find_price=catalog.price,
    )
    orphans = _orphans(stack, ledger, accounts, connections, catalog, clock)
    return Servicers(
        connectors=ConnectorsServicer(connectors),
        connections=ConnectionsServicer(connections),
        jobs=JobsServicer(jobs, submissions, JobLogs(jobs, logs), JobMetrics(jobs), orphans, connections, clock),
        artifacts=ArtifactsServicer(files.artifacts, files.uploads, files.datasets),
        catalog=CatalogServicer(catalog),
        deployments=DeploymentsServicer(await _deployments(stack, database, accounts, connections, clock)),
    )


def _surroundings(
    ledger: Ledger,
    accounts: Accounts,
    connections: Connections,
    orders: Orders,
    logs: LogStore,
    artifacts: Artifacts,
    clock: Clock,
) -> Surroundings:
    note_rejected = _note_rejected(connections)
    return Surroundings(
        ledger=ledger,
        wishes=Wishes(ledger, accounts, clock),
        submitter=Submitter(ledger, accounts, orders, clock, note_rejected),
        platforms=accounts,
        logs=logs,
        clock=clock,
        find_redactor=connections.redactor,
        drop_secrets=connections.drop_former,
        list_artifacts=Review(artifacts, ledger).doubts,
        note_rejected=note_rejected,
    )


def _orphans(
    stack: AsyncExitStack, ledger: Ledger, accounts: Accounts, connections: Connections, catalog: Catalog, clock: Clock
) -> JobOrphans:
    orphans = Orphans(
        ledger=ledger, platforms=accounts, clock=clock, connections=connections.all, find_price=catalog.price
    )
    stack.push_async_callback(_ended, asyncio.create_task(orphans.run()))
    return JobOrphans(orphans, connections)


async def _deployments(
    stack: AsyncExitStack, database: Database, accounts: Accounts, connections: Connections, clock: Clock
) -> Deployments:
    async def verbs(connection_id: str) -> DeploymentVerbs:
        return (await accounts.platform(connection_id)).deployments

    deployments = Deployments(
        store=DeploymentStore(database), find_connection=connections.get, verbs=verbs, clock=clock
    )
    await deployments.start()
    stack.push_async_callback(deployments.close)
    stack.push_async_callback(_ended, asyncio.create_task(deployments.run()))
    return deployments


def _logs(settings: Settings, stack: AsyncExitStack, clock: Clock) -> LogStore:
    logs = LogStore(settings.data_dir / "logs", settings.job_log_bytes)
    max_age = timedelta(days=settings.job_log_days)
    retention = Retention(logs, clock, max_bytes=settings.job_logs_bytes, max_age=max_age)
    stack.push_async_callback(_ended, asyncio.create_task(retention.run()))
    return logs


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


def _connectors(settings: Settings, database: Database, ledger: Ledger) -> Connectors:
    data = settings.data_dir
    finder = Finder.standard(data, settings.plugin_dirs, settings.connectors_config or data / "connectors.json")

    def hear(connector: str, stream: str, line: str) -> None:
        log.info("connector said", connector=connector, stream=stream, line=line)

    folders = Folders.of(data, os.environ.get("XDG_RUNTIME_DIR"))
    fences = find_fences(folders.runtime_root.name)
    fences.sweep()
    incubator = Incubator(
        launcher=Launcher(os.environ, Nursery(os.environ) if settings.launch == "fork" else None),
        folders=folders,
        fences=fences,
        limits=Limits(),
        integrity=Integrity(settings.integrity),
        log_level=settings.log_level,
        hear=hear,
    )
    return Connectors(
        find=finder.find,
        places=(*finder.roots, finder.settings_path),
        incubator=incubator,
        disabled=DisabledConnectors(database),
        parallel_starts=max(2, os.cpu_count() or 1),
        has_jobs=lambda connector_id: any(job.connector_id == connector_id for job in ledger.open_jobs()),
    )


def _connections(data: Path, database: Database, connectors: Connectors, ledger: Ledger, clock: Clock) -> Connections:
    deployments = DeploymentStore(database)

    async def is_needed(connection_id: str) -> bool:
        return bool(ledger.open_jobs(connection_id)) or await deployments.holds(connection_id)

    vault = Vault.load(data, os.environ)
    return Connections(ConnectionStore(database), vault, Processes(connectors), clock, is_needed)


@dataclass(frozen=True, slots=True)
class _Files:
    artifacts: Artifacts
    uploads: Uploads
    datasets: Datasets

    async def close(self) -> None:
        await self.uploads.close()
        await self.artifacts.close()


async def _files(
    settings: Settings, database: Database, accounts: Accounts, connections: Connections, ledger: Ledger, clock: Clock
) -> _Files:
    async def is_in_use(uri: str) -> bool:
        return any(job.config.dataset_uri == uri for job in ledger.open_jobs())

    data = settings.data_dir
    blobs = await Blobs.open(data / "blobs")
    artifact_store, upload_store = ArtifactStore(database), UploadStore(database)
    artifacts = Artifacts(
        accounts, artifact_store, blobs, ledger, cache=Cache(blobs, upload_store, settings.cache_bytes)
    )
    datasets = Datasets(upload_store, artifact_store, blobs, data / "datasets", is_in_use)
    uploads = Uploads(accounts, connections, upload_store, blobs, datasets, clock)
    await uploads.drop_abandoned()
    return _Files(artifacts, uploads, datasets)


def _note_rejected(connections: Connections) -> Callable[[str, str], Awaitable[None]]:
    async def note(connection_id: str, message: str) -> None:
        # It may be gone, or the ledger not writable: what is done with the job does not depend on it.
        with suppress(GatewayError):
            await connections.mark(connection_id, ConnectionState.NEEDS_AUTH, message)

    return note
