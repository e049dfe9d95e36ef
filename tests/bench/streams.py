"""Logs and files: how fast they pass, and what they cost the gateway."""

from __future__ import annotations

import asyncio
import statistics

from peftstudio.gateway.v1 import artifacts_service_pb2 as artifacts
from peftstudio.gateway.v1 import jobs_service_pb2 as jobs
from tests.bench.gateways import connect, laboratories
from tests.bench.measure import Row, seconds
from tests.process.gateway.conftest import ended, submit
from tests.support.gateway_process import Stubs

LINES = 200_000
MIB = 1024 * 1024
FILE_BYTES = 512 * MIB


async def log_lines(rounds: int) -> list[Row]:
    """Follow a log while it is written, and read it afterwards, alone and with nineteen others."""
    async with laboratories([]) as (_, stubs):
        await connect(stubs, "lab")
        live, stored, shared = [], [], []
        for _ in range(rounds):
            job_id = await submit(stubs, lines=LINES)
            live.append(LINES / await seconds(_read(stubs, job_id)))
            await ended(stubs, job_id)
            stored.append(LINES / await seconds(_read(stubs, job_id)))
            shared.append(20 * LINES / await seconds(asyncio.gather(*(_read(stubs, job_id) for _ in range(20)))))
    return [
        Row("log lines while the author yields them", f"{statistics.median(live):,.0f} lines/s"),
        Row("log lines out of the store", f"{statistics.median(stored):,.0f} lines/s"),
        Row("log lines to 20 followers, in sum", f"{statistics.median(shared):,.0f} lines/s"),
    ]


async def file_bytes(rounds: int) -> list[Row]:
    """Fetch a file through the gateway, for the first time and again."""
    async with laboratories([]) as (gateway, stubs):
        await connect(stubs, "lab")
        cold, cached, grown = [], [], 0
        for number in range(rounds):
            # Another size each time: the same bytes would be in the store already.
            job_id = await submit(stubs, artifact_bytes=FILE_BYTES + number)
            await ended(stubs, job_id)
            before = gateway.memory_bytes()
            cold.append(FILE_BYTES / MIB / await seconds(_fetch(stubs, job_id)))
            cached.append(FILE_BYTES / MIB / await seconds(_fetch(stubs, job_id)))
            grown = max(grown, gateway.memory_bytes() - before)
    return [
        Row("a file for the first time", f"{statistics.median(cold):,.0f} MiB/s"),
        Row("a file out of the store", f"{statistics.median(cached):,.0f} MiB/s"),
        Row("the gateway's memory meanwhile", f"+ {grown / MIB:.0f} MiB"),
    ]


async def _read(stubs: Stubs, job_id: str) -> None:
    count = 0
    async for message in stubs.jobs.StreamLogs(jobs.StreamLogsRequest(job_id=job_id, follow=True), timeout=120):
        count += len(message.lines)
    assert count == LINES


async def _fetch(stubs: Stubs, job_id: str) -> None:
    request = artifacts.FetchArtifactRequest(job_id=job_id, artifact_id="weights")
    size = 0
    async for message in stubs.artifacts.FetchArtifact(request, timeout=120):
        size += len(message.chunk.data)
    assert size >= FILE_BYTES
