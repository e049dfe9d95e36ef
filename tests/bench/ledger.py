"""The ledger: what 100,000 ended jobs cost a start, a look at one job, and the first page of each list."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway.paging import DEFAULT_PAGE_SIZE
from gateway.store import migrate
from gateway.store.database import Database
from gateway.store.sqlite import SQLite
from peftstudio.gateway.v1 import jobs_service_pb2 as pb
from peftstudio.job.v1.job_state_pb2 import JOB_STATE_FAILED, JOB_STATE_RUNNING, JOB_STATE_SUCCEEDED
from tests.bench.measure import Effort, Row, in_turns, seconds
from tests.support.full_ledger import ended_job, fill
from tests.support.gateway_process import GatewayProcess, Stubs, gateway_process

JOBS = 100_000
WATCHED = 5_000
"""Jobs whose changes are followed in a quick run; all of them in a full one."""
JOB_GOAL = 1.2
PAGE_GOAL = 1.5
START_SECONDS = 3.0
CALLS = 10
TIMES_THE_ROUNDS = 3
"""Many short rounds: what disturbs one of them disturbs few calls."""
WATCHES = 3
FEWEST_STARTS = 4
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


async def many_jobs(effort: Effort) -> list[Row]:
    """Compare a gateway with 100,000 jobs in its ledger with one that has a single page of them."""
    async with side(JOBS) as full, side(DEFAULT_PAGE_SIZE) as small:
        rows = [await _compare("GetJob", full, small, effort.rounds, _get, JOB_GOAL)]
        for name, request in LISTS.items():
            what = f"first page of jobs {name}"
            rows.append(await _compare(what, full, small, effort.rounds, _list_of(request), PAGE_GOAL))
        rows += await _watch(full, JOBS if effort.is_full else WATCHED)
        return [*rows, *await _starts(full, small, max(FEWEST_STARTS, effort.rounds // 2))]


async def _compare(
    what: str, full: Side, small: Side, rounds: int, call: Callable[[Side], Awaitable[object]], goal: float
) -> Row:
    async def typical(side: Side) -> float:
        return statistics.median([await seconds(call(side)) for _ in range(CALLS)])

    pairs = await in_turns(lambda: typical(full), lambda: typical(small), TIMES_THE_ROUNDS * rounds)
    return Row.beside(f"{what}, of {JOBS:,}", pairs.ours, pairs.base, f"of {DEFAULT_PAGE_SIZE}", goal)


async def _starts(full: Side, small: Side, rounds: int) -> list[Row]:
    """Start both anew; their clients find them no more."""

    async def start(side: Side) -> float:
        await side.gateway.stop()
        return await seconds(side.gateway.start())

    pairs = await in_turns(lambda: start(full), lambda: start(small), rounds)
    measure = f"start with {JOBS:,} jobs in the ledger"
    return [
        Row.alone(measure, pairs.ours, "s", most=START_SECONDS),
        Row.beside(measure, pairs.ours, pairs.base, f"with {DEFAULT_PAGE_SIZE}", None),
    ]


async def _watch(full: Side, count: int) -> list[Row]:
    """Follow what changed last, as a client does that was away for a while; each job changed once."""
    before = full.gateway.memory_bytes()
    rates = [(count - 1) / await seconds(_follow(full, JOBS - count + 1, count - 1)) for _ in range(WATCHES)]
    grown = (full.gateway.memory_bytes() - before) / 1024**2
    row = Row.alone(f"a watch of the last {count:,} changes of {JOBS:,} jobs", rates, "jobs/s")
    return [replace(row, base=f"memory + {grown:.0f} MiB")]


async def _follow(side: Side, since: int, count: int) -> None:
    seen = 0
    request = pb.WatchJobsRequest(since_revision=since)
    async for message in side.stubs.jobs.WatchJobs(request, timeout=300):
        seen += message.HasField("job")
        if seen == count:
            return


def _get(side: Side) -> Awaitable[object]:
    return side.stubs.jobs.GetJob(pb.GetJobRequest(job_id=ended_job(side.jobs // 2).id), timeout=30)


def _list_of(request: pb.ListJobsRequest) -> Callable[[Side], Awaitable[object]]:
    return lambda side: side.stubs.jobs.ListJobs(request, timeout=30)


@asynccontextmanager
async def side(count: int) -> AsyncIterator[Side]:
    """Run a gateway with so many ended jobs."""
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
