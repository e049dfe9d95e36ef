"""All services that clients can call."""

from __future__ import annotations

from dataclasses import dataclass

from grpc import aio

from gateway.api.artifacts import ArtifactsServicer
from gateway.api.catalog import CatalogServicer
from gateway.api.connections import ConnectionsServicer
from gateway.api.connectors import ConnectorsServicer
from gateway.api.deployments import DeploymentsServicer
from gateway.api.jobs import JobsServicer
from peftstudio.gateway.v1 import (
    artifacts_service_pb2,
    artifacts_service_pb2_grpc,
    catalog_service_pb2,
    catalog_service_pb2_grpc,
    connections_service_pb2,
    connections_service_pb2_grpc,
    connectors_service_pb2,
    connectors_service_pb2_grpc,
    deployments_service_pb2,
    deployments_service_pb2_grpc,
    jobs_service_pb2,
    jobs_service_pb2_grpc,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Servicers:
    """One servicer for each service."""

    connectors: ConnectorsServicer
    connections: ConnectionsServicer
    jobs: JobsServicer
    artifacts: ArtifactsServicer
    catalog: CatalogServicer
    deployments: DeploymentsServicer

    def register(self, server: aio.Server) -> list[str]:
        """Add them to a server, and return the full names of their services."""
        connectors_service_pb2_grpc.add_ConnectorsServiceServicer_to_server(self.connectors, server)
        connections_service_pb2_grpc.add_ConnectionsServiceServicer_to_server(self.connections, server)
        jobs_service_pb2_grpc.add_JobsServiceServicer_to_server(self.jobs, server)
        artifacts_service_pb2_grpc.add_ArtifactsServiceServicer_to_server(self.artifacts, server)
        catalog_service_pb2_grpc.add_CatalogServiceServicer_to_server(self.catalog, server)
        deployments_service_pb2_grpc.add_DeploymentsServiceServicer_to_server(self.deployments, server)
        files = (
            connectors_service_pb2,
            connections_service_pb2,
            jobs_service_pb2,
            artifacts_service_pb2,
            catalog_service_pb2,
            deployments_service_pb2,
        )
        return [name.full_name for file in files for name in file.DESCRIPTOR.services_by_name.values()]
