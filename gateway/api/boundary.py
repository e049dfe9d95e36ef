"""The one thing between clients and servicers: who may call, how long it may take, and how it fails.

Only what `status.CODES` says reaches a client. A traceback stays in the gateway's log, under an id that the client
gets.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from functools import partial
from typing import NoReturn, Protocol, TypeAlias, cast

import grpc
import structlog
from grpc import aio
from grpc_status import rpc_status

from gateway.api.in_flight import InFlight
from gateway.api.status import to_status
from gateway.cancellation import is_own_cancellation
from gateway.errors import CredentialsRejected, GatewayError, PlatformTimeout, Reason, StorageFull

UNARY_SECONDS = 150.0
"""Longest time for a call that brings no deadline of its own: a submit's 120 s at the connector, and some."""

FILE_SECONDS = 3600.0
"""The same for calls during which a whole file is moved, over a slow line or into a platform's registry."""

FILE_METHODS = frozenset(
    f"/peftstudio.gateway.v1.ArtifactsService/{method}" for method in ("WriteUpload", "CommitUpload")
)

HEALTH = "/grpc.health.v1.Health/"
"""The one service that answers without a token."""

Context = aio.ServicerContext
Handler: TypeAlias = "grpc.RpcMethodHandler[object, object]"
Answer = Callable[[object, "Context[object, object]"], Awaitable[object]]
Stream = Callable[[object, "Context[object, object]"], AsyncGenerator[object, None]]
Serialize = Callable[[object], bytes]

log = structlog.get_logger(__name__)


class Boundary(grpc.GenericRpcHandler):
    """Check the token, bound the time and map every failure, for all four kinds of calls.

    To services it is the server to which they are added, and to the server their one handler: an interceptor would cost
    every call three coroutines.
    """

    def __init__(self, token: str) -> None:
        self._authorization = f"Bearer {token}".encode()
        self._services: list[grpc.GenericRpcHandler] = []
        self._in_flight = InFlight()
        self._known: dict[str, tuple[Handler, Handler]] = {}
        """Of each method that was called: the guarded handler, and the one that refuses."""

    def add_generic_rpc_handlers(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Take the handlers of a service."""
        self._services += handlers

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        """Take nothing: these are the same handlers once more."""

    def service(self, call: grpc.HandlerCallDetails) -> Handler | None:
        """Give the handler of one call."""
        known = self._known.get(call.method) or self._find(call)
        if known is None:
            return None
        guarded, refusing = known
        return guarded if call.method.startswith(HEALTH) or self._has_token(call) else refusing

    def _find(self, call: grpc.HandlerCallDetails) -> tuple[Handler, Handler] | None:
        for service in self._services:
            if handler := service.service(call):
                wrap = partial(_wrap, handler, call.method, self._in_flight)
                known = wrap(is_allowed=True), wrap(is_allowed=False)
                self._known[call.method] = known
                return known
        return None

    def _has_token(self, call: grpc.HandlerCallDetails) -> bool:
        for key, value in call.invocation_metadata or ():
            if key == "authorization":
                return hmac.compare_digest(value if isinstance(value, bytes) else value.encode(), self._authorization)
        return False


def _wrap(handler: Handler, method: str, in_flight: InFlight, *, is_allowed: bool) -> Handler:
    codec = handler.request_deserializer, _passing_bytes(handler.response_serializer)
    if handler.response_streaming:
        inner = handler.stream_stream if handler.request_streaming else handler.unary_stream
        stream = _guarded_stream(cast("Stream", inner), method, is_allowed, in_flight)
        if handler.request_streaming:
            return grpc.stream_stream_rpc_method_handler(stream, *codec)
        return grpc.unary_stream_rpc_method_handler(stream, *codec)
    answer = handler.stream_unary if handler.request_streaming else handler.unary_unary
    unary = _guarded_answer(cast("Answer", answer), method, is_allowed)
    if handler.request_streaming:
        return grpc.stream_unary_rpc_method_handler(unary, *codec)
    return grpc.unary_unary_rpc_method_handler(unary, *codec)


def _guarded_answer(inner: Answer, method: str, is_allowed: bool) -> Answer:
    seconds = FILE_SECONDS if method in FILE_METHODS else UNARY_SECONDS

    async def outer(request: object, context: Context[object, object]) -> object:
        try:
            _admit(is_allowed)
            left = context.time_remaining()
            if left is not None and left <= seconds:
                # gRPC itself ends the call by then: one timer for each call is enough.
                return await inner(request, context)
            async with asyncio.timeout(seconds):
                return await inner(request, context)
        except (Exception, asyncio.CancelledError) as error:
            return await _fail(context, error, method)

    return outer


def _guarded_stream(inner: Stream, method: str, is_allowed: bool, in_flight: InFlight) -> Stream:
    async def outer(request: object, context: Context[object, object]) -> AsyncGenerator[object, None]:
        lane = in_flight.lane()
        try:
            _admit(is_allowed)
            async with aclosing(inner(request, context)) as responses:
                async for response in responses:
                    await lane.begin()
                    yield response
                    lane.end()
        except (Exception, asyncio.CancelledError) as error:
            await _fail(context, error, method)
        finally:
            lane.end()

    return outer


class _CanAbort(Protocol):
    """What the type stubs leave out of an aio context (grpc PR 42733)."""

    async def abort_with_status(self, status: grpc.Status) -> NoReturn: ...


def _admit(is_allowed: bool) -> None:
    if not is_allowed:
        raise CredentialsRejected(
            "this call needs the gateway's token as metadata `authorization: Bearer TOKEN`; "
            "it is in the file `token` of the gateway's data folder"
        )


async def _fail(context: Context[object, object], error: BaseException, method: str) -> NoReturn:
    """End a call with what its client may know of an error: this is the boundary, nothing unknown goes further."""
    if isinstance(error, aio.AbortError):
        raise error
    if isinstance(error, Exception):
        known = _known(error, method)
    elif is_own_cancellation():
        raise error
    else:
        # Somebody else's task was cancelled and we waited for it: left alone, the client would hang (grpc#29248).
        known = GatewayError("the call was given up; try again", reason=Reason.OVERLOADED)
    log.info("call failed", method=method, reason=known.reason, error=known.message)
    await cast("_CanAbort", context).abort_with_status(rpc_status.to_status(to_status(known)))


def _known(error: Exception, method: str) -> GatewayError:
    if isinstance(error, GatewayError):
        return error
    if isinstance(error, TimeoutError):
        return PlatformTimeout("the call took too long; ask again, with the same request id if it submits")
    if isinstance(error, OSError) and error.errno in StorageFull.errnos:
        return StorageFull(f"the gateway's disk cannot be written: {error.strerror}; free some space and try again")
    error_id = secrets.token_hex(4)
    log.error("call hit a bug", method=method, error_id=error_id, exc_info=error)
    return GatewayError(
        f"the gateway has a bug; its log has the details under {error_id}",
        reason=Reason.GATEWAY_BUG,
        metadata={"error_id": error_id},
    )


def _passing_bytes(serialize: Serialize | None) -> Serialize | None:
    """Let a servicer answer with bytes that are in wire format already, as the log store's are."""
    if serialize is None:
        return None

    return lambda response: response if isinstance(response, bytes) else serialize(response)
