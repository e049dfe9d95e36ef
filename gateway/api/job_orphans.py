"""`ListOrphans` and `EndOrphan`: remote jobs that nobody follows."""

from __future__ import annotations

from gateway.api import requests
from gateway.connections.service import Connections
from gateway.jobs.orphans import Orphan, Orphans
from gateway.wire.catalog import price_to_proto
from gateway.wire.jobs import state_to_proto
from gateway.wire.time import time_to_proto
from peftstudio.gateway.v1 import jobs_service_pb2 as pb


class JobOrphans:
    """Answer calls about orphans."""

    def __init__(self, orphans: Orphans, connections: Connections) -> None:
        self._orphans = orphans
        self._connections = connections

    async def list(self, request: pb.ListOrphansRequest) -> pb.ListOrphansResponse:
        """Sweep now."""
        only = await self._connection(request.connection_id)
        found = await self._orphans.find([only] if only else ())
        errors = [
            pb.OrphanError(connection_id=error.connection_id, reason=error.reason, message=error.message)
            for error in found.errors
        ]
        return pb.ListOrphansResponse(orphans=map(_orphan, found.orphans), errors=errors)

    async def end(self, request: pb.EndOrphanRequest) -> pb.EndOrphanResponse:
        """End one."""
        requests.require(platform_job_id=request.platform_job_id)
        only = await self._connection(request.connection_id)
        return pb.EndOrphanResponse(orphan=_orphan(await self._orphans.end(request.platform_job_id, only)))

    async def _connection(self, id_or_name: str) -> str:
        return (await self._connections.get(id_or_name)).id if id_or_name else ""


def _orphan(orphan: Orphan) -> pb.Orphan:
    listed = orphan.listed
    return pb.Orphan(
        connection_id=orphan.connection_id,
        platform_job_id=listed.platform_job_id,
        submission_token=listed.submission_token,
        job_id=orphan.job_id,
        why=orphan.why,
        created_at=time_to_proto(listed.created_at),
        state=state_to_proto(listed.seen.state),
        resource_id=listed.resource_id,
        price=None if orphan.price is None else price_to_proto(orphan.price),
    )
