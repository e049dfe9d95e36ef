"""Submissions: durable ones, as many as come, beside a service that keeps nothing."""

from __future__ import annotations

import asyncio
import statistics
from contextlib import AsyncExitStack

from grpc import aio

from peftstudio.gateway.v1.jobs_service_pb2_grpc import JobsServiceStub
from tests.bench.gateways import connect, laboratories
from tests.bench.load import Call
from tests.bench.measure import Row, in_turns_of, seconds
from tests.bench.peers.flyte import flyte
from tests.bench.peers.fronts import missing
from tests.process.gateway.conftest import wish

JOBS = 500
CLIENTS = 32


async def submissions(rounds: int) -> list[Row]:
    """Submit jobs to a platform that accepts them at once, with fsync on, and let them end in between."""
    async with AsyncExitStack() as stack:
        gateway, stubs = await stack.enter_async_context(laboratories([]))
        await connect(stubs, "lab")
        channel = await stack.enter_async_context(aio.insecure_channel(str(gateway.endpoint["address"])))
        stub, metadata = JobsServiceStub(channel), (("authorization", f"Bearer {gateway.token}"),)

        def submit() -> Call:
            request = wish(options={"lines": 0, "artifact_bytes": 0})
            return lambda: stub.SubmitJob(request, metadata=metadata, timeout=60)

        async def ours() -> float:
            rate = await _rate(submit())
            await _settle(channel, metadata)
            return rate

        ways = {"gateway": ours}
        if not missing("flyte"):
            peer = await stack.enter_async_context(flyte())
            ways["flyte"] = lambda: _rate(peer.create)
        found = await in_turns_of(ways, rounds)
    rate = statistics.median(found["gateway"])
    rows = [Row("submissions kept on disk", f"{rate:,.0f} jobs/s", value=rate, least=500)]
    if "flyte" in found:
        what = "Flyte's service, which keeps nothing"
        rows.append(Row.of_rates("submissions", found["gateway"], found["flyte"], what, 0.4, "jobs/s"))
    return rows


async def _rate(submit: Call) -> float:
    async def client() -> None:
        for _ in range(JOBS // CLIENTS):
            await submit()

    return JOBS // CLIENTS * CLIENTS / await seconds(asyncio.gather(*(client() for _ in range(CLIENTS))))


async def _settle(channel: aio.Channel, metadata: tuple[tuple[str, str], ...]) -> None:
    """Wait until no job is under way, so that rounds do not pile up."""
    from peftstudio.gateway.v1 import jobs_service_pb2 as pb
    from peftstudio.job.v1 import job_state_pb2 as states

    ended = (states.JOB_STATE_SUCCEEDED, states.JOB_STATE_FAILED, states.JOB_STATE_CANCELLED, 0)
    open_states = [number for number in states.JobState.values() if number not in ended]
    request = pb.ListJobsRequest(page_size=1, filter=pb.JobFilter(states=open_states))
    async with asyncio.timeout(120):
        while (await JobsServiceStub(channel).ListJobs(request, metadata=metadata, timeout=30)).jobs:  # noqa: ASYNC110 - in another process
            await asyncio.sleep(0.1)
