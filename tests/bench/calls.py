"""Single calls: what the gateway answers itself, what must reach the connector, and many jobs at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

from grpc import aio

from peftstudio.connector.v1 import connector_service_pb2 as connector
from peftstudio.connector.v1.connector_service_pb2_grpc import ConnectorServiceStub
from peftstudio.gateway.v1 import catalog_service_pb2 as catalog
from peftstudio.gateway.v1 import jobs_service_pb2 as jobs
from peftstudio.gateway.v1.catalog_service_pb2_grpc import CatalogServiceStub
from peftstudio.gateway.v1.jobs_service_pb2_grpc import JobsServiceStub
from tests.bench.gateways import connect, laboratories
from tests.bench.load import Call, Latency, latency
from tests.bench.measure import Row, in_turns_of, seconds
from tests.bench.peers.direct import CONNECTION, Endpoint, Metadata, direct
from tests.bench.peers.fronts import Front, envoy, missing, nginx, pass_through
from tests.process.gateway.conftest import submit

BATCH = 100
ROUNDS_OF: dict[int, tuple[int, int]] = {1: (150, 2), 32: (600, 1)}
"""By clients: calls in a round, and how many times the rounds there are.

Short rounds lie beside those that they are compared with, and many give a ratio that the next run gives again; many
clients need long ones, of which their start is a small part.
"""
PASS_THROUGH = "a bare pass-through"
FRONTS: dict[str, Front] = {"nginx": nginx, "envoy": envoy, PASS_THROUGH: pass_through}


@dataclass(frozen=True, slots=True)
class Ways:
    """The same question asked in several ways."""

    status: dict[str, Call]
    """The state of one job, by who is asked."""
    search: dict[str, Call]
    """A search that the connector itself must answer."""
    batch: Call
    """The states of many jobs from the gateway."""


async def single_calls(rounds: int) -> list[Row]:
    """Ask the gateway and its peers the same, in turns."""
    async with _ways() as ways:
        rows = []
        for clients in (1, 32):
            found = await _measured(ways.status, clients, rounds)
            rows += _rows(f"GetJob, {clients} at a time", found, lambda one: one.p50, "p50", 1.0)
            rows += _rows(f"GetJob, {clients} at a time", found, lambda one: one.p99, "p99", 1.0)[:1]
        found = await _measured(ways.search, 1, rounds)
        reached, *beside = _rows("a call that reaches the connector", found, lambda one: one.p50, "p50", 1.7)
        floor = [one.p50 for one in found[PASS_THROUGH]]
        reached = reached.limited(floor, PASS_THROUGH, 1.1, "two hops of grpc.aio, whatever is between them")
        rows += [replace(row, group="P2") for row in (reached, *beside)]
        batches = [BATCH / await seconds(ways.batch()) for _ in range(rounds * 20)]
    row = Row.alone(f"states of {BATCH} jobs in one call", batches, "states/s", least=50_000)
    return [*rows, replace(row, group="P6")]


async def _measured(ways: dict[str, Call], clients: int, rounds: int) -> dict[str, list[Latency]]:
    calls, more = ROUNDS_OF[clients]
    return await in_turns_of(
        {name: partial(latency, call, calls, clients) for name, call in ways.items()}, rounds * more
    )


def _rows(
    measure: str, found: dict[str, list[Latency]], figure: Callable[[Latency], float], name: str, goal: float
) -> list[Row]:
    """One row for the gateway with its goal, and one for each peer: all beside the connector called directly."""
    base = [figure(one) for one in found["direct"]]
    rows = []
    for way, latencies in found.items():
        if way != "direct":
            who = "" if way == "gateway" else f" ({way})"
            ours = [figure(one) for one in latencies]
            rows.append(Row.beside(f"{measure}: {name}{who}", ours, base, "direct", goal if way == "gateway" else None))
    return rows


@asynccontextmanager
async def _ways() -> AsyncIterator[Ways]:
    async with AsyncExitStack() as stack:
        endpoint = await stack.enter_async_context(direct())
        job = await _direct_job(endpoint)
        gateway, stubs = await stack.enter_async_context(laboratories([]))
        await connect(stubs, "lab")
        running = await submit(stubs, hold=True)
        ids = [await submit(stubs, lines=0) for _ in range(BATCH)]
        # The token as plain metadata, as the peers get theirs: gRPC's call credentials take a thread's turn each time.
        channel = await stack.enter_async_context(aio.insecure_channel(str(gateway.endpoint["address"])))
        metadata = (("authorization", f"Bearer {gateway.token}"),)
        status: dict[str, Call] = {"gateway": _get_job(channel, metadata, running)}
        search: dict[str, Call] = {"gateway": _search(channel, metadata)}
        batch = _batch(channel, metadata, ids)
        places = {"direct": endpoint}
        for name, front in FRONTS.items():
            if not missing(name):
                places[name] = await stack.enter_async_context(front(endpoint))
        for name, place in places.items():
            channel = await stack.enter_async_context(aio.insecure_channel(place.address))
            status[name] = _direct_status(channel, place, job)
            search[name] = _direct_search(channel, place)
        yield Ways(status, search, batch)


async def _direct_job(endpoint: Endpoint) -> str:
    async with aio.insecure_channel(endpoint.address) as channel:
        request = connector.SubmitJobRequest(connection_id=CONNECTION, submission_token="bench")
        request.config.base_model, request.config.dataset_path = "m", "d"
        request.config.options.update({"hold": True})
        answer = await ConnectorServiceStub(channel).SubmitJob(request, metadata=endpoint.metadata, timeout=30)
        return str(answer.platform_job_id)


def _direct_status(channel: aio.Channel, place: Endpoint, job: str) -> Call:
    stub = ConnectorServiceStub(channel)
    request = connector.GetJobStatusRequest(connection_id=CONNECTION, platform_job_id=job)
    return lambda: stub.GetJobStatus(request, metadata=place.metadata, timeout=30)


def _direct_search(channel: aio.Channel, place: Endpoint) -> Call:
    stub = ConnectorServiceStub(channel)
    request = connector.SearchModelsRequest(connection_id=CONNECTION, query="llama", limit=10)
    return lambda: stub.SearchModels(request, metadata=place.metadata, timeout=30)


def _get_job(channel: aio.Channel, metadata: Metadata, job_id: str) -> Call:
    stub = JobsServiceStub(channel)
    request = jobs.GetJobRequest(job_id=job_id)
    return lambda: stub.GetJob(request, metadata=metadata, timeout=30)


def _search(channel: aio.Channel, metadata: Metadata) -> Call:
    stub = CatalogServiceStub(channel)
    request = catalog.SearchModelsRequest(connection_id="lab", query="llama", page_size=10)
    return lambda: stub.SearchModels(request, metadata=metadata, timeout=30)


def _batch(channel: aio.Channel, metadata: Metadata, ids: list[str]) -> Call:
    stub = JobsServiceStub(channel)
    request = jobs.BatchGetJobsRequest(job_ids=ids)
    return lambda: stub.BatchGetJobs(request, metadata=metadata, timeout=30)
