"""The fake gateway's server."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, cast

import grpc
from grpc import aio

from peftstudio.gateway.v1.artifacts_service_pb2_grpc import add_ArtifactsServiceServicer_to_server
from peftstudio.gateway.v1.catalog_service_pb2_grpc import add_CatalogServiceServicer_to_server
from peftstudio.gateway.v1.connections_service_pb2_grpc import add_ConnectionsServiceServicer_to_server
from peftstudio.gateway.v1.connectors_service_pb2_grpc import add_ConnectorsServiceServicer_to_server
from peftstudio.gateway.v1.jobs_service_pb2_grpc import add_JobsServiceServicer_to_server
from tests.support.fake_gateway.artifacts import FakeArtifacts
from tests.support.fake_gateway.jobs import FakeJobs
from tests.support.fake_gateway.platforms import FakeCatalog, FakeConnections, FakeConnectors
from tests.support.fake_gateway.refusal import refuse
from tests.support.fake_gateway.state import FakeState

Request = TypeVar("Request")
Response = TypeVar("Response")

TOKEN = "a token that opens the fake"


class FakeGateway:
    """Serves a `FakeState` on a port of its own and says where, as a gateway does, in a data directory."""

    def __init__(self, data_dir: Path, state: FakeState | None = None) -> None:
        self.data_dir = data_dir
        self.state = state or FakeState()
        self.token = TOKEN
        self.address = ""
        self._server: aio.Server | None = None

    async def start(self) -> None:
        """Serve on a new port."""
        server = aio.server(interceptors=[_Gatekeeper(self)], options=[("grpc.so_reuseport", 0)])
        add_JobsServiceServicer_to_server(FakeJobs(self.state), server)
        add_ArtifactsServiceServicer_to_server(FakeArtifacts(self.state), server)
        add_ConnectorsServiceServicer_to_server(FakeConnectors(self.state), server)
        add_ConnectionsServiceServicer_to_server(FakeConnections(self.state), server)
        add_CatalogServiceServicer_to_server(FakeCatalog(self.state), server)
        self.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        self._server = server
        self.data_dir.mkdir(parents=True, exist_ok=True)
        (self.data_dir / "token").write_text(self.token + "\n")
        endpoint = {"address": self.address, "pid": 1, "tls": False}
        (self.data_dir / "endpoint.json").write_text(json.dumps(endpoint))

    async def stop(self) -> None:
        """Stop at once; calls that are under way break."""
        if self._server is not None:
            await self._server.stop(None)

    async def restart(self) -> None:
        """Come back on another port."""
        await self.stop()
        await self.start()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


class _Gatekeeper(aio.ServerInterceptor):
    """Lets in who has the token, and notes who called what."""

    def __init__(self, gateway: FakeGateway) -> None:
        self._gateway = gateway

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Request, Response] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Request, Response] | None:
        self._gateway.state.calls.append(handler_call_details.method.rsplit("/", 1)[-1])
        metadata = dict(handler_call_details.invocation_metadata or ())
        if metadata.get("authorization") == f"Bearer {self._gateway.token}":
            return await continuation(handler_call_details)

        async def deny(request: Request, context: object) -> Response:
            code = grpc.StatusCode.UNAUTHENTICATED
            await refuse(context, code, "CREDENTIALS_REJECTED", "the token of the call is not this gateway's")

        # The status goes out before any message: the arity of the handler does not matter.
        return grpc.unary_unary_rpc_method_handler(cast("Callable[[Request, grpc.ServicerContext], Response]", deny))
