"""The ledger: what 100,000 ended jobs cost a start, a look at one job, and the first page of each list."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway.paging import DEFAULT_PAGE_SIZE
from gateway.store import migrate
from gateway.store.database import Database
from gateway.store.sqlite import SQLite
from peftstudio.gateway.v1 import jobs_service_pb2 as pb
from peftstudio.job.v1.job_state_pb2 import JOB_STATE_FAILED, JOB_STATE_RUNNING, JOB_STATE_SUCCEEDED
from tests.bench.measure import Row, in_turns, seconds
from tests.support.full_ledger import ended_job, fill
from tests.support.gateway_process import GatewayProcess, Stubs, gateway_process

JOBS = 100_000
GOAL = 1.5
CALLS = 100
CACHE = Path(__file__).parents[2] / ".cache" / "bench"

LISTS = {
    "newest first": pb.ListJobsRequest(),
    "oldest first": pb.ListJobsRequest(ascending=True),
    "that succeeded": pb.ListJobsRequest(filter=pb.JobFilter(states=[JOB_STATE_SUCCEEDED])),
    "that failed": pb.ListJobsRequest(page_size=1, filter=pb.JobFilter(states=[JOB_STATE_FAILED])),
    "that run (none)": pb.ListJobsRequest(filter=pb.JobFilter(states=[JOB_STATE_RUNNING])),
    "of a connector": pb.ListJobsRequest(filter=pb.JobFilter(connector_id="lab")),
    "with a label": pb.ListJobsRequest(page_size=5, filter=pb.JobFilter(labels={"team": "team-3"})),
}
"""Pages that are as full of a single page's jobs as of very many."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two gateways."""

    gateway: GatewayProcess
    stubs: Stubs
    jobs: int


async def many_jobs(rounds: int) -> list[Row]:
    """Compare a gateway with 100,000 jobs in its ledger with one that has a single page of them."""
    async with _side(JOBS) as full, _side(DEFAULT_PAGE_SIZE) as small:
        rows = [await _compare("GetJob", full, small, rounds, _get)]
        for name, request in LISTS.items():
            rows.append(await _compare(f"first page of jobs {name}", full, small, rounds, _list_of(request)))
        rows.append(await _watch(full))
    return [*rows, await _starts(max(3, rounds // 3))]


async def _compare(what: str, full: Side, small: Side, rounds: int, call: Callable[[Side], Awaitable[object]]) -> Row:
    async def typical(side: Side) -> float:
        return statistics.median([await seconds(call(side)) for _ in range(CALLS)])

    pairs = await in_turns(lambda: typical(full), lambda: typical(small), rounds)
    return Row(
        f"{what}, of {JOBS:,}",
        f"{statistics.median(pairs.ours) * 1000:.2f} ms",
        f"{statistics.median(pairs.base) * 1000:.2f} ms (of {DEFAULT_PAGE_SIZE})",
        pairs.ratio,
        GOAL,
        pairs.noise,
    )


async def _starts(rounds: int) -> Row:
    async with _side(JOBS) as full, _side(0) as empty:

        async def start(side: Side) -> float:
            await side.gateway.stop()
            return await seconds(side.gateway.start())

        pairs = await in_turns(lambda: start(full), lambda: start(empty), rounds)
    return Row(
        f"start with {JOBS:,} jobs in the ledger",
        f"{statistics.median(pairs.ours):.2f} s",
        f"{statistics.median(pairs.base):.2f} s (none)",
        pairs.ratio,
        GOAL,
        pairs.noise,
    )


async def _watch(full: Side) -> Row:
    """Follow all that ever changed, as a client does that was away for long."""
    before, seen = full.gateway.memory_bytes(), 0

    async def follow() -> None:
        nonlocal seen
        async for message in full.stubs.jobs.WatchJobs(pb.WatchJobsRequest(since_revision=1), timeout=300):
            seen += message.HasField("job")
            if seen == JOBS - 1:
                return

    rate = (JOBS - 1) / await seconds(follow())
    grown = (full.gateway.memory_bytes() - before) / 1024**2
    return Row(f"a watch from the first of {JOBS:,} jobs on", f"{rate:,.0f} jobs/s, memory + {grown:.0f} MiB")


def _get(side: Side) -> Awaitable[object]:
    return side.stubs.jobs.GetJob(pb.GetJobRequest(job_id=ended_job(side.jobs // 2).id), timeout=30)


def _list_of(request: pb.ListJobsRequest) -> Callable[[Side], Awaitable[object]]:
    return lambda side: side.stubs.jobs.ListJobs(request, timeout=30)


@asynccontextmanager
async def _side(count: int) -> AsyncIterator[Side]:
    with TemporaryDirectory(prefix="peft-bench-") as name:
        data = Path(name) / "data"
        data.mkdir(mode=0o700)
        shutil.copyfile(await _ledger_of(count), data / "ledger.db")
        async with gateway_process(data) as gateway, gateway.connected() as stubs:
            yield Side(gateway, stubs, count)


async def _ledger_of(count: int) -> Path:
    """Return a ledger with so many jobs; it is made once."""
    path = CACHE / f"ledger-{migrate.revisions()[-1]}-{count}.db"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".new")
        draft.unlink(missing_ok=True)
        database = await Database.open(SQLite(draft))
        await fill(database, count)
        await database.close()
        draft.rename(path)
    return path
