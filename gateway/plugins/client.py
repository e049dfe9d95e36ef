"""Makes calls to one process of a connector: with a deadline, the token, and the gateway's errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar, cast

import grpc
import grpc.aio
from google.protobuf.message import Message

from gateway.cancellation import is_own_cancellation
from gateway.errors import ConnectorDown, GatewayError, PlatformTimeout, Reason, RemoteError
from gateway.plugins.activity import Activity
from gateway.plugins.blotting import blot
from gateway.plugins.channel import credentials, is_proven
from gateway.plugins.failures import Stranger
from gateway.plugins.handshake import Tokens
from gateway.plugins.health import Health
from gateway.plugins.lines import LastLines
from gateway.plugins.model import Description
from gateway.plugins.noted import NotedCall
from gateway.plugins.sessions import Sessions
from gateway.plugins.status import to_gateway_error
from gateway.plugins.troubles import Troubles
from gateway.wire.description import description_from_proto
from gateway.wire.time import duration_to_proto
from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.connector.v1.connector_service_pb2_grpc import ConnectorServiceStub

if TYPE_CHECKING:
    from peftstudio.connector.v1.connector_service_pb2_grpc import ConnectorServiceAsyncStub

ADMIN_LIMIT = timedelta(seconds=10)
"""For calls that ask only the process itself."""
STREAM_LIMIT = timedelta(hours=1)
"""For a stream as a whole: whoever reads it continues where it was cut."""
IDLE_LIMIT = timedelta(seconds=30)
"""Between two messages of a stream: the contract says one every 10 s."""

_ENDS = (grpc.aio.UsageError, asyncio.CancelledError)
"""How grpc.aio ends calls of a channel that is closed."""

_FETCH_ARTIFACT = "/peftstudio.connector.v1.ConnectorService/FetchArtifact"

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)
Unary = Callable[["ConnectorServiceAsyncStub"], grpc.aio.UnaryUnaryMultiCallable[Request, Response]]
Answer = TypeVar("Answer")
"""Of a stream: messages, or their bytes."""
Stream = Callable[["ConnectorServiceAsyncStub"], grpc.aio.UnaryStreamMultiCallable[Request, Answer]]


class ConnectorClient:
    """Speaks to one generation of a connector. Every method raises `GatewayError` and nothing else."""

    def __init__(
        self,
        connector_id: str,
        generation: int,
        channel: grpc.aio.Channel,
        tokens: Tokens,
        lines: LastLines,
        on_trouble: Callable[[str], None] = lambda words: None,
    ) -> None:
        """Make a client; it connects with its first call.

        Args:
            connector_id: Which connector it is.
            generation: Which of its processes.
            channel: Leads to where that listens.
            tokens: How both prove who they are.
            lines: Told every credential before it is sent, so that neither a log nor an answer shows it.
            on_trouble: Told what calls show of the platform's side, whenever that changes.

        """
        self.connector_id = connector_id
        self.generation = generation
        self.description = Description(name=connector_id)
        """What the connector said of itself when it started."""
        self.sessions = Sessions(self.connect)
        self.activity = Activity()
        self.troubles = Troubles(on_trouble)
        self._tokens = tokens
        self._lines = lines
        self._metadata = credentials(tokens)
        self._channel = channel
        self._stub: ConnectorServiceAsyncStub = ConnectorServiceStub(self._channel)
        self.fetch_artifact: grpc.aio.UnaryStreamMultiCallable[pb.FetchArtifactRequest, bytes] = channel.unary_stream(
            _FETCH_ARTIFACT, request_serializer=pb.FetchArtifactRequest.SerializeToString
        )
        """As the stub's, for messages that are not to be decoded."""
        self.health = Health(channel, self._metadata, self.describe)

    @property
    def is_adopted(self) -> bool:
        """Whether an earlier gateway launched the process, so that this one's health watch is its lifeline."""
        return self.health.is_held

    async def call(
        self,
        pick: Unary[Request, Response],
        request: Request,
        limit: timedelta,
        *,
        wait_for_ready: bool = False,
    ) -> Response:
        """Make one unary call; it is never repeated."""
        with self._noted(request) as method:
            try:
                call = pick(self._stub)(
                    request, timeout=limit.total_seconds(), metadata=self._metadata, wait_for_ready=wait_for_ready
                )
                response = await call
                metadata = await call.initial_metadata()
            except grpc.aio.AioRpcError as error:
                is_ours = is_proven(error.initial_metadata(), self._tokens)
                raise self._failure(error, method, is_proven=is_ours) from error
            except _ENDS as error:
                raise self._end(error, method) from error
            if not is_proven(metadata, self._tokens):
                raise Stranger(self.connector_id)
        blot(response, self._lines.redact_all)
        return response

    async def stream(self, pick: Stream[Request, Answer], request: Request) -> AsyncGenerator[Answer, None]:
        """Yield a stream's messages; a silence of `IDLE_LIMIT` ends it with `PlatformTimeout`."""
        call = pick(self._stub)(request, timeout=STREAM_LIMIT.total_seconds(), metadata=self._metadata)
        is_checked = False
        try:
            async with self._streaming(request):
                while (message := await self._read(call)) is not None:
                    if not is_checked and not await self._is_ours(await call.initial_metadata()):
                        raise Stranger(self.connector_id)
                    is_checked = True
                    self.activity.messages += 1
                    yield message
        finally:
            # Leaving the loop alone would leave the call running at the other side.
            call.cancel()

    async def upload(self, parts: AsyncIterator[pb.UploadArtifactRequest]) -> str:
        """Send an upload and return the registry's id of it."""
        async with self._streaming(pb.UploadArtifactRequest()):
            call = self._stub.UploadArtifact(parts, timeout=STREAM_LIMIT.total_seconds(), metadata=self._metadata)
            try:
                response = await call
                if not await self._is_ours(await call.initial_metadata()):
                    raise Stranger(self.connector_id)
            finally:
                call.cancel()
        return response.artifact_id

    async def describe(self, limit: timedelta) -> Description:
        """Ask the connector what it is; the first call to a process, so it waits for the socket."""
        response = await self.call(lambda stub: stub.Describe, pb.DescribeRequest(), limit, wait_for_ready=True)
        try:
            return description_from_proto(response)
        except ValueError as error:
            raise RemoteError(f"its description cannot be read: {error}", reason=Reason.BAD_UPSTREAM) from error

    async def connect(self, connection_id: str, values: dict[str, str], limit: timedelta) -> str:
        """Open a connection and return whose account it is."""
        self._lines.hide(values.values())
        request = pb.ConnectRequest(connection_id=connection_id, credentials=values)
        return (await self.call(lambda stub: stub.Connect, request, limit)).account

    async def shutdown(self, grace: timedelta) -> None:
        """Ask the process to finish and end by itself."""
        request = pb.ShutdownRequest(grace=duration_to_proto(grace))
        await self.call(lambda stub: stub.Shutdown, request, min(grace, ADMIN_LIMIT))

    async def close(self) -> None:
        """Close the channel; calls under way end with `ConnectorDown`."""
        await self.sessions.close()
        await self.health.close()
        await self._channel.close()

    async def _read(self, call: grpc.aio.UnaryStreamCall[Request, Answer]) -> Answer | None:
        try:
            async with asyncio.timeout(IDLE_LIMIT.total_seconds()):
                message = await call.read()
        except TimeoutError:
            raise PlatformTimeout(f"connector {self.connector_id!r} sent nothing for {IDLE_LIMIT}") from None
        # Its end is a mark of gRPC's own and no message.
        return None if message is grpc.aio.EOF else cast("Answer", message)

    async def _is_ours(self, metadata: Iterable[tuple[str, str | bytes]] | None) -> bool:
        """Whether a stream's answer came from the process that was launched.

        grpc.aio drops the initial metadata of a stream whose end arrives together with it. Then a unary call, which has
        no such race, shows who is at the other end of the channel.

        Raises:
            GatewayError: Nobody at the other end could be asked.

        """
        if is_proven(metadata, self._tokens):
            return True
        try:
            await self.call(lambda stub: stub.Describe, pb.DescribeRequest(), ADMIN_LIMIT)
        except Stranger:
            return False
        return True

    def _noted(self, request: Message) -> NotedCall:
        return NotedCall(self.activity, self.troubles, request)

    @asynccontextmanager
    async def _streaming(self, request: Message) -> AsyncIterator[None]:
        with self._noted(request) as method:
            try:
                yield
            except grpc.aio.AioRpcError as error:
                is_ours = await self._is_ours(error.initial_metadata())
                raise self._failure(error, method, is_proven=is_ours) from error
            except _ENDS as error:
                raise self._end(error, method) from error

    def _failure(self, error: grpc.aio.AioRpcError, method: str, *, is_proven: bool) -> GatewayError:
        return to_gateway_error(error, self.connector_id, method, is_proven=is_proven, redact=self._lines.redact)

    def _end(self, error: grpc.aio.UsageError | asyncio.CancelledError, method: str) -> ConnectorDown:
        """Return what the end of a channel is to its callers; a cancellation of the caller's own is raised."""
        if isinstance(error, grpc.aio.UsageError):
            return self._ended("before the call")
        if is_own_cancellation():
            raise error
        return self._ended(f"during {method}")

    def _ended(self, when: str) -> ConnectorDown:
        return ConnectorDown(f"the process of connector {self.connector_id!r} ended {when}")
