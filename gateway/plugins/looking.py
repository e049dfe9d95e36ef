"""Looks at many jobs of one connection."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import islice

from gateway.errors import ConnectorDown, GatewayError, Reason, RemoteError
from gateway.jobs.model import Observation
from gateway.plugins.calls import Caller
from gateway.priority import Priority
from gateway.wire.jobs import observation_from_proto
from peftstudio.connector.v1 import connector_service_pb2 as pb

PARALLEL_LOOKS = 8
"""Looks at a time: a platform's limit of calls is soon reached, and a connector has one processor."""
BATCH = 1000
"""Jobs in one question, as the contract has it."""
BATCH_CAPABILITY = "batch_get_job_status"

Seen = dict[str, Observation | Exception]


async def look(caller: Caller, job_ids: Sequence[str]) -> Seen:
    """Look at jobs; each with what was seen or the `GatewayError` that kept it from being seen."""
    wanted = list(dict.fromkeys(job_ids))
    try:
        client = await caller.client()
    except GatewayError as error:
        return dict.fromkeys(wanted, error)
    if BATCH_CAPABILITY in client.description.capabilities:
        return await _together(caller, wanted)
    return await _each(caller, wanted)


async def _together(caller: Caller, wanted: list[str]) -> Seen:
    seen: Seen = {}
    rest = iter(wanted)
    while batch := list(islice(rest, BATCH)):
        seen.update(await _batch(caller, batch))
    return seen


async def _batch(caller: Caller, batch: list[str]) -> Seen:
    request = pb.BatchGetJobStatusRequest(connection_id=caller.connection_id, platform_job_ids=batch)
    try:
        answer = await caller.ask(
            lambda stub: stub.BatchGetJobStatus, request, capability=BATCH_CAPABILITY, priority=Priority.POLL
        )
    except GatewayError as error:
        return dict.fromkeys(batch, error)
    found = dict(answer.observations)
    return {job: observation_from_proto(found[job]) if job in found else _unknown(job) for job in batch}


async def _each(caller: Caller, wanted: list[str]) -> Seen:
    slots = asyncio.Semaphore(PARALLEL_LOOKS)
    down: list[ConnectorDown] = []

    async def one(job: str) -> Observation | Exception:
        async with slots:
            # Every further job would wait as long for a process that does not come.
            return down[0] if down else await _one(caller, job, down)

    async with asyncio.TaskGroup() as group:
        tasks = {job: group.create_task(one(job)) for job in wanted}
    return {job: task.result() for job, task in tasks.items()}


async def _one(caller: Caller, job: str, down: list[ConnectorDown]) -> Observation | Exception:
    request = pb.GetJobStatusRequest(connection_id=caller.connection_id, platform_job_id=job)
    try:
        answer = await caller.ask(lambda stub: stub.GetJobStatus, request, priority=Priority.POLL)
    except ConnectorDown as error:
        down.append(error)
        return error
    except GatewayError as error:
        return error
    return observation_from_proto(answer.observation)


def _unknown(job: str) -> RemoteError:
    return RemoteError(f"the platform does not know job {job!r}", reason=Reason.NOT_FOUND)
