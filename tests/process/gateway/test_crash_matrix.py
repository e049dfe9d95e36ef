"""kill -9 of the gateway and of connectors at every step of submit, cancel, upload and log ingestion: 500 submissions.

Steps are met from outside: the storm waits until a row, a machine, a cancel, a piece of an upload or a line of a log
appears, then a little by chance, and kills. What counts afterwards is what the platforms themselves have.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import psutil
import pytest

from peftstudio.gateway.v1 import artifacts_service_pb2, connections_service_pb2, jobs_service_pb2
from peftstudio.job.v1.artifact_pb2 import Chunk
from peftstudio.job.v1.job_state_pb2 import (
    JOB_REASON_SUBMIT_AMBIGUOUS,
    JOB_STATE_CANCELLED,
    JOB_STATE_FAILED,
    JOB_STATE_SUCCEEDED,
)
from peftstudio.job.v1.training_config_pb2 import TrainingConfig
from tests.process.gateway.conftest import TERMINAL, expected
from tests.support.gateway_process import GatewayProcess, Stubs, gateway_process
from tests.support.signals import send

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

KINDS = ("keyed", "findable", "careless")
SUBMISSIONS = 500
ROUNDS = 12
LINES = 10
STORM = Path(__file__).parents[2] / "support" / "storm"
STEP_SECONDS = 4.0
"""How long a step is waited for; after it, the kill comes all the same."""
AGAIN = 0.6
"""How likely a gateway that has just come back is killed again."""
SETTLE_SECONDS = 140.0


@dataclass
class Storm:
    """What was wished, and what the gateway said to it."""

    gateway: GatewayProcess
    chance: random.Random
    jobs: dict[str, str] = field(default_factory=dict)
    """Job by request id, as it was answered first."""
    cancelled: set[str] = field(default_factory=set)
    uploads: dict[str, bytes] = field(default_factory=dict)
    kills: Counter[str] = field(default_factory=Counter)

    def request(self, number: int) -> jobs_service_pb2.SubmitJobRequest:
        config = TrainingConfig(base_model="m", dataset_path="d")
        config.options.update({"lines": LINES, "pace": 20})
        kind = KINDS[number % len(KINDS)]
        return jobs_service_pb2.SubmitJobRequest(request_id=f"wish-{number}", connection_id=kind, config=config)

    async def submit(self, stubs: Stubs, number: int) -> None:
        request = self.request(number)
        job_id = (await stubs.jobs.SubmitJob(request, timeout=30)).job.id
        assert self.jobs.setdefault(request.request_id, job_id) == job_id

    async def cancel(self, stubs: Stubs, job_id: str) -> None:
        # Before the call: its answer may be lost.
        self.cancelled.add(job_id)
        await stubs.jobs.CancelJob(jobs_service_pb2.CancelJobRequest(job_id=job_id), timeout=30)

    async def upload(self, stubs: Stubs, name: str) -> None:
        data = self.uploads[name]
        start = await stubs.artifacts.StartUpload(
            artifacts_service_pb2.StartUploadRequest(
                purpose=artifacts_service_pb2.UPLOAD_PURPOSE_DATASET,
                name=name,
                size=len(data),
                sha256=hashlib.sha256(data).hexdigest(),
            ),
            timeout=30,
        )

        async def pieces() -> AsyncIterator[artifacts_service_pb2.WriteUploadRequest]:
            for offset in range(start.committed_offset, len(data), 65_536):
                chunk = Chunk(offset=offset, data=data[offset : offset + 65_536])
                yield artifacts_service_pb2.WriteUploadRequest(upload_id=start.upload_id, chunk=chunk)

        if not start.already_present:
            await stubs.artifacts.WriteUpload(pieces(), timeout=30)
        commit = artifacts_service_pb2.CommitUploadRequest(upload_id=start.upload_id)
        await stubs.artifacts.CommitUpload(commit, timeout=30)

    def machines(self, kind: str = "*") -> list[Path]:
        return list(self.gateway.data_dir.glob(f"instances/{kind}/machines/*"))

    def marks(self, step: str) -> int:
        """Count what shows from outside how far a step is."""
        data = self.gateway.data_dir
        match step:
            case "row":
                return size_of([data / "ledger.db-wal"])
            case "call":
                return len(list(data.glob("instances/*/making/*"))) + len(self.machines())
            case "machine":
                return len(self.machines())
            case "cancel":
                return sum(1 for machine in self.machines() if (machine / "cancelled").exists())
            case "piece":
                return size_of(data.glob("blobs/incoming/*"))
            case _:
                return size_of(data.glob("logs/*/*"))


STEPS = ("row", "call", "machine", "cancel", "piece", "line")


@asynccontextmanager
async def storm(folder: Path, seed: int) -> AsyncIterator[Storm]:
    async with gateway_process(folder / "data", "--plugins", str(STORM)) as gateway:
        async with gateway.connected() as stubs:
            for kind in KINDS:
                request = connections_service_pb2.ConnectRequest(
                    connector_id=kind, credentials={"api_key": "canary-5b"}
                )
                await stubs.connections.Connect(request, timeout=60)
        yield Storm(gateway, random.Random(seed))


async def a_round(storm: Storm, numbers: list[int], name: str, step: str, victim: str) -> None:
    """Wish for all of it at once, kill at a step, and bring the gateway back."""
    storm.uploads[name] = storm.chance.randbytes(2_000_000)
    known = sorted(set(storm.jobs.values()) - storm.cancelled)
    unwanted = storm.chance.sample(known, min(4, len(known)))
    again = storm.chance.sample(range(numbers[0] + 1), min(5, numbers[0] + 1))
    async with storm.gateway.connected() as stubs:
        before = storm.marks(step)
        calls = [
            *(asyncio.create_task(storm.submit(stubs, number)) for number in [*numbers, *again]),
            *(asyncio.create_task(storm.cancel(stubs, job_id)) for job_id in unwanted),
            asyncio.create_task(storm.upload(stubs, name)),
        ]
        deadline = time.monotonic() + STEP_SECONDS
        while storm.marks(step) <= before and time.monotonic() < deadline:  # noqa: ASYNC110 - it is in other processes
            await asyncio.sleep(0.002)
        await asyncio.sleep(storm.chance.uniform(0, 0.3))
        await kill(storm, victim)
        for result in await asyncio.gather(*calls, return_exceptions=True):
            assert result is None or isinstance(result, grpc.aio.AioRpcError), result
    if victim == "gateway":
        await storm.gateway.start()
        if storm.chance.random() < AGAIN:
            # Taking up what was left is a step like any other.
            await asyncio.sleep(storm.chance.uniform(0, 1.0))
            await kill(storm, victim)
            await storm.gateway.start()


async def kill(storm: Storm, victim: str) -> None:
    storm.kills[victim] += 1
    if victim == "gateway":
        await storm.gateway.kill()
        return
    for child in psutil.Process(storm.gateway.pid).children(recursive=True):
        with suppress(psutil.Error, ProcessLookupError):
            if any(kind in child.cwd() for kind in KINDS):
                send(child.pid, signal.SIGKILL)


async def until_it_works(call: Callable[[], Coroutine[object, object, None]]) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                return await call()
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.2)


async def every_job(stubs: Stubs) -> list[jobs_service_pb2.Job]:
    jobs: list[jobs_service_pb2.Job] = []
    token = ""
    while True:
        request = jobs_service_pb2.ListJobsRequest(page_size=500, page_token=token)
        page = await stubs.jobs.ListJobs(request, timeout=30)
        jobs += page.jobs
        token = page.next_page_token
        if not token:
            return jobs


async def settled(storm: Storm, stubs: Stubs) -> list[jobs_service_pb2.Job]:
    """Repeat every wish, as clients do, and wait until all jobs have ended."""
    for first in range(0, SUBMISSIONS, 50):
        wanted = range(first, min(first + 50, SUBMISSIONS))
        await asyncio.gather(*(until_it_works(lambda n=n: storm.submit(stubs, n)) for n in wanted))  # type: ignore[misc]
    for name in storm.uploads:
        await until_it_works(lambda name=name: storm.upload(stubs, name))  # type: ignore[misc]
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        jobs = await every_job(stubs)
        still_open = [job for job in jobs if job.state not in TERMINAL]
        if not still_open:
            return jobs
        assert time.monotonic() < deadline, [
            (job.id, job.connection_id, job.state, job.last_error) for job in still_open
        ]
        await asyncio.sleep(0.5)


def machines_by_token(storm: Storm, kind: str) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = defaultdict(list)
    for machine in storm.machines(kind):
        found[json.loads((machine / "spec.json").read_text())["token"]].append(machine)
    return found


async def log_of(stubs: Stubs, job_id: str) -> list[tuple[int, str]]:
    request = jobs_service_pb2.StreamLogsRequest(job_id=job_id)
    return [
        (line.seq, line.text) async for message in stubs.jobs.StreamLogs(request, timeout=30) for line in message.lines
    ]


async def check(storm: Storm, stubs: Stubs, jobs: list[jobs_service_pb2.Job]) -> None:
    names = {found.id: found.name for found in await all_connections(stubs)}
    assert len(jobs) == SUBMISSIONS, "a job was lost, or made twice"
    assert {job.request_id: job.id for job in jobs} == storm.jobs
    ambiguous = {job.id for job in jobs if job.reason == JOB_REASON_SUBMIT_AMBIGUOUS}
    by_kind: dict[str, list[jobs_service_pb2.Job]] = defaultdict(list)
    for job in jobs:
        by_kind[names[job.connection_id]].append(job)
    for kind in KINDS:
        machines = machines_by_token(storm, kind)
        twice = {token: found for token, found in machines.items() if len(found) > 1}
        assert twice == {}, f"{kind}: one wish made several machines"
        known = {job.platform_job_id for job in by_kind[kind] if job.platform_job_id}
        loose = {found[0].name for found in machines.values()} - known
        if kind != "careless":
            assert loose == set(), f"{kind}: machines that no job knows"
        assert len(loose) <= len(ambiguous)
    for job in jobs:
        if job.state == JOB_STATE_FAILED:
            assert (names[job.connection_id], job.reason) == ("careless", JOB_REASON_SUBMIT_AMBIGUOUS), job
        if job.state == JOB_STATE_CANCELLED:
            assert job.id in storm.cancelled
            machine = storm.gateway.data_dir / "instances" / names[job.connection_id] / "machines" / job.platform_job_id
            assert not job.platform_job_id or (machine / "cancelled").exists()
        if job.state == JOB_STATE_SUCCEEDED:
            assert await log_of(stubs, job.id) == expected(LINES), job.id
    await check_orphans(stubs, ambiguous)


async def check_orphans(stubs: Stubs, ambiguous: set[str]) -> None:
    """No machine goes on for nobody; what an ambiguous submission left is named with its job."""
    answer = await stubs.jobs.ListOrphans(jobs_service_pb2.ListOrphansRequest(), timeout=60)
    assert list(answer.errors) == []
    assert {orphan.job_id for orphan in answer.orphans} <= ambiguous


async def all_connections(stubs: Stubs) -> list[connections_service_pb2.Connection]:
    answer = await stubs.connections.ListConnections(connections_service_pb2.ListConnectionsRequest(), timeout=30)
    return list(answer.connections)


async def check_uploads(storm: Storm) -> None:
    blobs = storm.gateway.data_dir / "blobs"
    for data in storm.uploads.values():
        digest = hashlib.sha256(data).hexdigest()
        kept = await asyncio.to_thread((blobs / digest[:2] / digest).read_bytes)
        assert kept == data


async def test_500_submissions_in_a_storm_of_kills_make_500_jobs_and_no_machine_twice(tmp_path: Path) -> None:
    seed = int(os.environ.get("STORM_SEED", "") or random.SystemRandom().randrange(2**32))
    print("seed", seed)
    began = time.monotonic()
    async with storm(tmp_path, seed) as made:
        size = -(-SUBMISSIONS // ROUNDS)
        victims = ["gateway", "connectors"] * ROUNDS
        for number in range(ROUNDS):
            numbers = list(range(number * size, min((number + 1) * size, SUBMISSIONS)))
            # Every step meets either victim, in an order that chance does not choose.
            step = STEPS[number // 2 % len(STEPS)]
            await a_round(made, numbers, f"data-{number}", step, victims[number])
        stormed = time.monotonic() - began
        async with made.gateway.connected() as stubs:
            jobs = await settled(made, stubs)
            await check(made, stubs, jobs)
        await check_uploads(made)
    ends = Counter(jobs_service_pb2.Job(state=job.state).state for job in jobs)
    print(f"{made.kills}, storm {stormed:.0f} s, in all {time.monotonic() - began:.0f} s, ends {dict(ends)}")


def size_of(paths: Iterable[Path]) -> int:
    """Return the bytes of files that may go at any moment."""
    total = 0
    for path in paths:
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total
