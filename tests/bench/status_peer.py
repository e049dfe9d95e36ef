"""A job's state from the gateway, beside Flyte's connector service asked for a task's."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial

from grpc import aio

from peftstudio.gateway.v1 import jobs_service_pb2 as jobs
from tests.bench.gateways import connect, laboratories
from tests.bench.load import Call, latency, raw_call
from tests.bench.measure import Row, in_turns_of
from tests.bench.peers.flyte import flyte
from tests.bench.peers.fronts import missing
from tests.process.gateway.conftest import submit

CALLS = 400
CLIENTS = (1, 32)
GET_JOB = "/peftstudio.gateway.v1.JobsService/GetJob"


async def status_calls(rounds: int) -> list[Row]:
    """Ask both in turns, without decoding the answers; nothing where Flyte's service is not installed."""
    if missing("flyte"):
        return []
    async with AsyncExitStack() as stack:
        peer = await stack.enter_async_context(flyte())
        gateway, stubs = await stack.enter_async_context(laboratories([]))
        await connect(stubs, "lab")
        request = jobs.GetJobRequest(job_id=await submit(stubs, hold=True)).SerializeToString()
        channel = await stack.enter_async_context(aio.insecure_channel(str(gateway.endpoint["address"])))
        call, metadata = raw_call(channel, GET_JOB), (("authorization", f"Bearer {gateway.token}"),)
        ways: dict[str, Call] = {"ours": lambda: call(request, metadata=metadata, timeout=30), "flyte": peer.get}
        return [await _row(ways, clients, rounds) for clients in CLIENTS]


async def _row(ways: dict[str, Call], clients: int, rounds: int) -> Row:
    found = await in_turns_of({name: partial(latency, call, CALLS, clients) for name, call in ways.items()}, rounds)
    ours, base = ([one.p50 for one in found[name]] for name in ways)
    return Row.beside(f"GetJob, {clients} at a time: p50", ours, base, "Flyte's GetTask, which asks no platform", None)
