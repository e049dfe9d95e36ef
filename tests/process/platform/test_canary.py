"""A credential that everybody shows: a job, its platform, its connector. It must be nowhere behind them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote, quote_plus

import grpc
import psutil
import pytest

from connector_sdk.testing import fake_platform
from gateway.plugins.folders import Folders
from peftstudio.gateway.v1 import artifacts_service_pb2, catalog_service_pb2, connections_service_pb2
from peftstudio.job.v1.artifact_pb2 import Chunk
from peftstudio.job.v1.job_state_pb2 import JOB_STATE_SUCCEEDED
from tests.process.gateway.conftest import ended, eventually, follow
from tests.process.gateway.test_limits import peftstudio
from tests.process.platform.conftest import CALL_SECONDS, ENDLESS, RENTAL, Bench, Options, connector_pid
from tests.support.gateway_process import GatewayProcess, Stubs, gateway_process
from tests.support.signals import send

pytestmark = pytest.mark.process

CANARY = 'canary-7f"3a/91+c2=\\b8 d4'
ROTATED = 'canary-0e"8b/22+f7=\\a1 c9'
WRONG = 'canary-5d"1c/66+b3=\\e0 f2'
SAMPLE_SECONDS = 0.05
"""Time between two looks at all processes."""

REPOSITORY = Path(__file__).parents[3]


def spellings(secret: str) -> set[bytes]:
    """How programs write it."""
    escaped = json.dumps(secret)[1:-1]
    found = {secret, escaped, escaped.replace("/", "\\/"), quote(secret), quote(secret, safe=""), quote_plus(secret)}
    return {spelling.encode() for spelling in found}


NEEDLES = sorted(spellings(CANARY) | spellings(ROTATED) | spellings(WRONG))


def shown_in(data: bytes | str) -> list[bytes]:
    """Return what of the canaries is in some data, in whatever spelling."""
    raw = data.encode() if isinstance(data, str) else data
    return [needle for needle in NEEDLES if needle in raw]


class Watch:
    """What processes and answers showed while the test went on."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self.gateway = gateway
        self.seen: set[int] = set()
        self.leaks: list[str] = []

    def look(self) -> None:
        """Look at the environment and the arguments of all the gateway's processes."""
        with suppress(psutil.Error):
            processes = [psutil.Process(self.gateway.pid)]
            processes += processes[0].children(recursive=True)
            for process in processes:
                with suppress(OSError):
                    for name in ("environ", "cmdline"):
                        raw = Path(f"/proc/{process.pid}/{name}").read_bytes()
                        self.leaks += [f"{name} of {process.pid}"] * bool(shown_in(raw))
                    self.seen.add(process.pid)

    async def refused(self, call: Awaitable[object]) -> str:
        """Return what a failed call says, all of which must be clean."""
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await call
        error = failure.value
        said = error.details() or ""
        trailers = b"".join(
            value if isinstance(value, bytes) else value.encode() for _, value in error.trailing_metadata() or ()
        )
        assert not shown_in(said), said
        assert not shown_in(trailers), trailers
        assert len(said.encode()) + len(trailers) <= 8192
        return said


@asynccontextmanager
async def watched(gateway: GatewayProcess) -> AsyncIterator[Watch]:
    """Look at all processes again and again."""
    watch = Watch(gateway)

    async def sample() -> None:
        while True:
            watch.look()
            await asyncio.sleep(SAMPLE_SECONDS)

    task = asyncio.create_task(sample())
    try:
        yield watch
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def files_of(gateway: GatewayProcess) -> list[Path]:
    """Return every file that the gateway has: its data, what it keeps for processes, and its log."""
    runtime = Folders.of(gateway.data_dir, os.environ.get("XDG_RUNTIME_DIR")).runtime_root
    assert runtime.is_dir() or not gateway.is_running
    places = (gateway.data_dir, runtime)
    return [path for place in places for path in place.rglob("*") if path.is_file()] + [gateway.log_path]


def assert_clean(gateway: GatewayProcess) -> list[str]:
    """See that no file has a canary, and return the files' names."""
    found = files_of(gateway)
    for path in found:
        assert not shown_in(path.read_bytes()), path
    return [path.name for path in found]


async def upload(stubs: Stubs, connection_id: str) -> None:
    """Put a file into the platform's registry."""
    data = b"adapter" * 1000
    begin = artifacts_service_pb2.StartUploadRequest(
        purpose=artifacts_service_pb2.UPLOAD_PURPOSE_ARTIFACT,
        connection_id=connection_id,
        name="adapter.bin",
        size=len(data),
        sha256=sha256(data).hexdigest(),
    )
    started = await stubs.artifacts.StartUpload(begin, timeout=CALL_SECONDS)

    async def parts() -> AsyncIterator[artifacts_service_pb2.WriteUploadRequest]:
        yield artifacts_service_pb2.WriteUploadRequest(upload_id=started.upload_id, chunk=Chunk(offset=0, data=data))

    await stubs.artifacts.WriteUpload(parts(), timeout=CALL_SECONDS)
    commit = artifacts_service_pb2.CommitUploadRequest(upload_id=started.upload_id)
    await stubs.artifacts.CommitUpload(commit, timeout=CALL_SECONDS)


async def provoke(bench: Bench, watch: Watch) -> None:
    """Let everything fail that can show the key, and keep what clients see clean."""
    stubs = bench.stubs
    resources = catalog_service_pb2.ListResourcesRequest(connection_id=bench.connection_id)
    assert "[redacted]" in await watch.refused(stubs.catalog.ListResources(resources, timeout=CALL_SECONDS))
    price = catalog_service_pb2.GetPricingRequest(connection_id=bench.connection_id, resource_id="small")
    await watch.refused(stubs.catalog.GetPricing(price, timeout=CALL_SECONDS))
    search = catalog_service_pb2.SearchModelsRequest(connection_id=bench.connection_id, query="x")
    await watch.refused(stubs.catalog.SearchModels(search, timeout=CALL_SECONDS))
    wrong = connections_service_pb2.ConnectRequest(
        connector_id="leaky-rental", credentials={"base_url": bench.platform.url, "api_key": WRONG}
    )
    said = await watch.refused(stubs.connections.Connect(wrong, timeout=CALL_SECONDS))
    assert "[redacted]" in said
    unknown = connections_service_pb2.ConnectRequest(connector_id="leaky-rental", credentials={"key": WRONG})
    await watch.refused(stubs.connections.Connect(unknown, timeout=CALL_SECONDS))


async def leaking_job(bench: Bench, key: str) -> str:
    """Run a job that prints the key, whose platform quotes it in errors and in its last words."""
    await bench.platform.faults.refuse("look", 500, f"cannot look with {key} ", size=5000)
    await bench.platform.faults.page("log", 503)
    await bench.platform.faults.refuse("log", 400, json.dumps({"bad": key}))
    options: Options = {"lines": 30, "seconds": 1, "is_key_printed": True, "message": "x" * 990}
    job = await ended(bench.stubs, await bench.submit(options))
    assert job.state == JOB_STATE_SUCCEEDED
    assert not shown_in(str(job))
    lines = await follow(bench.stubs, job.id)
    assert len(lines) == 30
    assert all("[redacted]" in text for _, text in lines)
    await bench.fetch(job.id)
    return job.id


async def assert_cli_is_clean(gateway: GatewayProcess, bench: Bench, job_id: str) -> None:
    """Let the command line show all that it knows."""
    for command in (
        ("connections", "verify", bench.connection_id),
        ("connectors", "diagnose", "leaky-rental"),
        ("jobs", "get", job_id, "--json"),
        ("jobs", "events", job_id),
        ("jobs", "logs", job_id),
    ):
        printed = await peftstudio(gateway, *command)
        assert printed
        assert not shown_in(printed), command


async def kill_connector(bench: Bench) -> None:
    """Kill the connector while a job runs, and wait until another sees the job."""
    running = await bench.running(ENDLESS)
    send(await connector_pid(bench, "leaky-rental"), signal.SIGKILL)
    before = datetime.now(UTC)

    async def is_seen_again() -> bool:
        return (await bench.fresh(running.id)).observed_at.ToDatetime(UTC) > before

    await eventually(is_seen_again)
    await bench.cancel(running.id)
    await ended(bench.stubs, running.id)


async def test_a_credential_is_nowhere_to_be_found_whoever_shows_it(tmp_path: Path) -> None:
    async with (
        fake_platform() as platform,
        gateway_process(tmp_path / "data", "--plugins", str(RENTAL)) as gateway,
        watched(gateway) as watch,
    ):
        await platform.accept(CANARY, ROTATED)
        platform.key = CANARY
        async with gateway.connected() as stubs:
            bench = Bench(stubs, platform)
            await bench.connect("leaky-rental")
            await provoke(bench, watch)
            job_id = await leaking_job(bench, CANARY)
            await upload(stubs, bench.connection_id)
            assert await platform.uploaded("adapter.bin")
            await kill_connector(bench)
            await assert_cli_is_clean(gateway, bench, job_id)
            names = assert_clean(gateway)
            assert "ledger.db-wal" in names
            await gateway.kill()
        assert_clean(gateway)
        await gateway.start()
        async with gateway.connected() as bench.stubs:
            await leaking_job(bench, CANARY)
            request = connections_service_pb2.RotateCredentialsRequest(
                connection_id=bench.connection_id, credentials={"base_url": platform.url, "api_key": ROTATED}
            )
            await bench.stubs.connections.RotateCredentials(request, timeout=CALL_SECONDS)
            await platform.accept(ROTATED)
            await provoke(bench, watch)
            await leaking_job(bench, ROTATED)
        assert watch.leaks == []
        # Two gateways, and the connectors of both.
        assert len(watch.seen) >= 4
        await gateway.stop()
        names = assert_clean(gateway)
        assert "connector said" in gateway.log_path.read_text()
        assert {"ledger.db", "lines"} <= set(names)
    for page in [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md")]:
        assert not shown_in(page.read_bytes()), page
