"""Jobs by the beginning of their ids, and the names of connections."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from gateway.cli.exit_codes import ExitCode
from gateway.cli.running import CommandError

if TYPE_CHECKING:
    from gateway.client import Client
    from peftstudio.gateway.v1.jobs_service_pb2 import Job

SHOWN = 5
"""Candidates that are named where a beginning fits several jobs."""


async def find_job(client: Client, reference: str) -> Job:
    """Return the job with this id, or the only one whose id begins so."""
    from gateway.client import GatewayCallError

    try:
        return await client.jobs.get(reference)
    except GatewayCallError as error:
        if error.reason != "NOT_FOUND" or not reference:
            raise

        found = await _beginning(client, reference)
        if not found:
            raise

    if len(found) > 1:
        names = ", ".join(job.id for job in found[:SHOWN]) + (", …" if len(found) > SHOWN else "")
        raise CommandError(f"{reference!r} is the beginning of several jobs: {names}", ExitCode.USAGE)

    return found[0]


async def connection_names(client: Client) -> dict[str, str]:
    """Return the names of all connections by their ids: what people gave is what they want to read."""
    return {one.id: one.name or one.id async for one in client.connections.list()}


async def _beginning(client: Client, reference: str) -> list[Job]:
    found: list[Job] = []
    async with aclosing(client.jobs.list()) as jobs:
        async for job in jobs:
            if job.id.startswith(reference):
                found.append(job)
                if len(found) > SHOWN:
                    break

    return found
