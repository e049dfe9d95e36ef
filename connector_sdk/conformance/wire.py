"""Calls to a connector, over a channel, with a token or without."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import grpc
from google.protobuf import message_factory
from google.protobuf.message import Message

from connector_sdk._contract import SERVICE
from connector_sdk.conformance.check import FailedCheck
from connector_sdk.conformance.refusal import Refusal, refusal_of
from peftstudio.connector.v1 import connector_service_pb2 as pb

CALL_SECONDS = 10.0  # what a gateway waits for most calls
PROOF_KEY = "x-connector-token"

METHODS = pb.DESCRIPTOR.services_by_name["ConnectorService"].methods_by_name

M = TypeVar("M", bound=Message)
Call = grpc.aio.UnaryUnaryCall[Message, Message] | grpc.aio.UnaryStreamCall[Message, Message]


@dataclass(slots=True)
class Seen:
    """What all calls of a run brought, for the checks that look at everything."""

    refusals: list[Refusal] = field(default_factory=list)
    answers: int = 0


class Wire:
    """A channel and what is sent with every call over it."""

    def __init__(self, channel: grpc.aio.Channel, seen: Seen, token: str | None) -> None:
        """Call with `token`; None = without one."""
        self.channel = channel
        self._seen = seen
        self._metadata: tuple[tuple[str, str], ...] = () if token is None else (("authorization", f"Bearer {token}"),)

    def with_metadata(self, *metadata: tuple[str, str]) -> Wire:
        """Give the same channel, with these values in place of the token."""
        other = Wire(self.channel, self._seen, None)
        other._metadata = metadata
        return other

    def quiet(self) -> Wire:
        """Give the same, for calls that may well fail: what they bring is not kept."""
        other = Wire(self.channel, Seen(), None)
        other._metadata = self._metadata
        return other

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What is sent with every call."""
        return self._metadata

    async def ask(self, request: Message, answer: type[M], *, seconds: float = CALL_SECONDS) -> M:
        """Call, and give the answer; a refusal fails the check."""
        messages = await self.read(request, answer, seconds=seconds)
        return messages[0]

    async def read(
        self, request: Message, answer: type[M], *, most: int | None = None, seconds: float = CALL_SECONDS
    ) -> list[M]:
        """Call, and give all answers or the first `most` of them; a refusal fails the check."""
        messages, refusal = await self.attempt(request, answer, most=most, seconds=seconds)
        if refusal is not None:
            raise FailedCheck(str(refusal))
        return messages

    async def refusal(self, request: Message, *, seconds: float = CALL_SECONDS) -> Refusal | None:
        """Call, and give the refusal; None = it was answered."""
        _, refusal = await self.attempt(request, Message, most=1, seconds=seconds)
        return refusal

    async def attempt(
        self, request: Message, answer: type[M], *, most: int | None = None, seconds: float = CALL_SECONDS
    ) -> tuple[list[M], Refusal | None]:
        """Call, and give what came and how it ended."""
        messages: list[M] = []
        method = method_of(request)
        call = self.start(request, seconds=seconds)
        try:
            async for message in _messages(call):
                messages.append(message)  # type: ignore[arg-type]  # of the contract's type for this request
                if most is not None and len(messages) >= most:
                    break
        except grpc.aio.AioRpcError as error:
            return messages, self._noted(refusal_of(method, error))
        finally:
            call.cancel()
        self._seen.answers += 1
        return messages, None

    def start(self, request: Message, *, seconds: float = CALL_SECONDS, is_refused: bool = False) -> Call:
        """Start a call, for who wants to read, leave or cancel it.

        Where it is known to be refused, a stream is read as one answer: grpc.aio may lose a stream's initial metadata
        when its end comes with them, and a call's it does not.
        """
        name = method_of(request)
        make: Callable[..., Callable[..., Call]] = self.channel.unary_unary
        if METHODS[name].server_streaming and not is_refused:
            make = self.channel.unary_stream
        start = make(
            f"/{SERVICE}/{name}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=message_factory.GetMessageClass(METHODS[name].output_type).FromString,
        )
        return start(request, timeout=seconds, metadata=self._metadata)

    async def upload(self, parts: Sequence[pb.UploadArtifactRequest]) -> pb.UploadArtifactResponse | Refusal:
        """Send a file."""
        send = self.channel.stream_unary(
            f"/{SERVICE}/UploadArtifact",
            request_serializer=pb.UploadArtifactRequest.SerializeToString,
            response_deserializer=pb.UploadArtifactResponse.FromString,
        )
        call = send(iter(parts), timeout=CALL_SECONDS, metadata=self._metadata)
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            return self._noted(refusal_of("UploadArtifact", error))
        finally:
            call.cancel()

    def _noted(self, refusal: Refusal) -> Refusal:
        self._seen.refusals.append(refusal)
        return refusal


def method_of(request: Message) -> str:
    """Name the method that takes such a request."""
    return type(request).__name__.removesuffix("Request")


async def proof_of(call: Call) -> str:
    """Give the token that the connector proves itself with in this call; empty = it does not."""
    try:
        initial = await call.initial_metadata()
    except (grpc.aio.AioRpcError, asyncio.CancelledError):
        return ""
    return next((str(value) for key, value in initial or () if key == PROOF_KEY), "")


@asynccontextmanager
async def opened(
    wire: Wire, request: Message, *, seconds: float = CALL_SECONDS, is_refused: bool = False
) -> AsyncIterator[Call]:
    """Have a call under way for a block."""
    call = wire.start(request, seconds=seconds, is_refused=is_refused)
    try:
        yield call
    finally:
        call.cancel()


async def _messages(call: Call) -> AsyncIterator[Message]:
    if isinstance(call, grpc.aio.UnaryUnaryCall):
        yield await call
        return
    async for message in call:
        yield message
