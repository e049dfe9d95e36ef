"""The seam between what the client does and which gRPC stack carries it.

Everything above this seam is written once, as coroutines. `AsyncRpc` suspends them as usual. `SyncRpc` blocks instead
of suspending, so that a coroutine over it runs to its end in one step (`gateway.client.blocking`): that is the whole
synchronous client.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from grpc import aio

from gateway.client.errors import NoGatewayError
from gateway.client.location import Location, Locator
from peftstudio.gateway.v1.artifacts_service_pb2_grpc import ArtifactsServiceStub
from peftstudio.gateway.v1.catalog_service_pb2_grpc import CatalogServiceStub
from peftstudio.gateway.v1.connections_service_pb2_grpc import ConnectionsServiceStub
from peftstudio.gateway.v1.connectors_service_pb2_grpc import ConnectorsServiceStub
from peftstudio.gateway.v1.deployments_service_pb2_grpc import DeploymentsServiceStub
from peftstudio.gateway.v1.jobs_service_pb2_grpc import JobsServiceStub

if TYPE_CHECKING:
    from peftstudio.gateway.v1.artifacts_service_pb2_grpc import ArtifactsServiceAsyncStub
    from peftstudio.gateway.v1.catalog_service_pb2_grpc import CatalogServiceAsyncStub
    from peftstudio.gateway.v1.connections_service_pb2_grpc import ConnectionsServiceAsyncStub
    from peftstudio.gateway.v1.connectors_service_pb2_grpc import ConnectorsServiceAsyncStub
    from peftstudio.gateway.v1.deployments_service_pb2_grpc import DeploymentsServiceAsyncStub
    from peftstudio.gateway.v1.jobs_service_pb2_grpc import JobsServiceAsyncStub

UNARY_SECONDS = 30.0
"""The gateway answers from its ledger in milliseconds; half a minute means that something is wrong."""
SLOW_UNARY_SECONDS = 120.0
"""For calls behind which a connector starts and a platform answers: both have bounds of their own below this."""
FILE_SECONDS = 3600.0
"""For the call during which a platform's registry takes a whole file from the gateway."""
STREAM_SECONDS = 600.0
"""Every stream is renewed after ten minutes, so that one which stalled unnoticed cannot stall for ever."""

Request = TypeVar("Request")
Response = TypeVar("Response")
Result = TypeVar("Result")
Params = ParamSpec("Params")


class Stubs:
    """The gateway's services over one channel."""

    def __init__(self, channel: aio.Channel) -> None:
        self.artifacts: ArtifactsServiceAsyncStub = ArtifactsServiceStub(channel)
        self.catalog: CatalogServiceAsyncStub = CatalogServiceStub(channel)
        self.connections: ConnectionsServiceAsyncStub = ConnectionsServiceStub(channel)
        self.connectors: ConnectorsServiceAsyncStub = ConnectorsServiceStub(channel)
        self.deployments: DeploymentsServiceAsyncStub = DeploymentsServiceStub(channel)
        self.jobs: JobsServiceAsyncStub = JobsServiceStub(channel)


class Rpc(ABC):
    """Makes calls to wherever the gateway is; all failures are `GatewayCallError`."""

    def __init__(self, location: Location, locator: Locator | None) -> None:
        self.location = location
        self._locator = locator
        self.stubs = self._connect(location)

    def refresh(self) -> bool:
        """Look again for the gateway and return whether it moved; calls made from now on go to the new place."""
        if self._locator is None:
            return False

        try:
            location = self._locator.locate()
        except NoGatewayError:
            # Between the end of one gateway and the start of the next its file may be missing.
            return False

        if location == self.location:
            return False

        self.location = location
        self.stubs = self._connect(location)
        return True

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes along with every call."""
        return (("authorization", f"Bearer {self.location.token}"),) if self.location.token else ()

    @abstractmethod
    def _connect(self, location: Location) -> Stubs:
        """Open a channel; those opened before stay open for calls that are under way, until all is closed."""

    @abstractmethod
    def now(self) -> float:
        """Return the seconds of a clock that never goes back."""

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Let so much time pass."""

    @abstractmethod
    async def offload(self, work: Callable[Params, Result], /, *args: Params.args, **kwargs: Params.kwargs) -> Result:
        """Do work that blocks, on a disk or a processor, where it holds nobody up."""

    @abstractmethod
    async def unary(
        self,
        method: aio.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        timeout: float = UNARY_SECONDS,
    ) -> Response:
        """Make a call with one answer."""

    @abstractmethod
    def stream(
        self,
        method: aio.UnaryStreamMultiCallable[Request, Response],
        request: Request,
        *,
        timeout: float = STREAM_SECONDS,
        idle: float | None = None,
    ) -> AsyncGenerator[Response, None]:
        """Make a call with many answers; `idle` seconds without any count as a cut where the stack can tell."""

    @abstractmethod
    async def send(
        self,
        method: aio.StreamUnaryMultiCallable[Request, Response],
        requests: Iterator[Request],
        timeout: float = STREAM_SECONDS,
    ) -> Response:
        """Make a call with many requests and one answer."""
