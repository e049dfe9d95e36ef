"""The one interceptor between clients and servicers: who may call, how long it may take, and how it fails.

Only what `status.CODES` says reaches a client. A traceback stays in the gateway's log, under an id that the client
gets.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import NoReturn, Protocol, TypeAlias, cast

import grpc
import structlog
from grpc import aio
from grpc_status import rpc_status

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
Continuation = Callable[[grpc.HandlerCallDetails], Awaitable["Handler | None"]]
Answer = Callable[[object, "Context[object, object]"], Awaitable[object]]
Stream = Callable[[object, "Context[object, object]"], AsyncGenerator[object, None]]
Serialize = Callable[[object], bytes]

log = structlog.get_logger(__name__)


class Boundary(aio.ServerInterceptor):
    """Check the token, bound the time and map every failure, for all four kinds of calls."""

    def __init__(self, token: str) -> None:
        self._authorization = f"Bearer {token}".encode()
        self._wrapped: dict[tuple[str, bool], tuple[Handler, Handler]] = {}
        """The handlers of the methods that were called, each as it is and as it is guarded."""

    async def intercept_service(  # type: ignore[override]  # the stub is generic over types that only handlers know
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        """Wrap the handler of one call."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method
        is_allowed = method.startswith(HEALTH) or self._has_token(handler_call_details)
        known, wrapped = self._wrapped.get((method, is_allowed), (None, None))
        if wrapped is None or known is not handler:
            wrapped = _wrap(handler, method, is_allowed=is_allowed)
            self._wrapped[method, is_allowed] = handler, wrapped
        return wrapped

    def _has_token(self, call: grpc.HandlerCallDetails) -> bool:
        given = next((value for key, value in call.invocation_metadata or () if key == "authorization"), b"")
        return hmac.compare_digest(given if isinstance(given, bytes) else given.encode(), self._authorization)


def _wrap(handler: Handler, method: str, *, is_allowed: bool) -> Handler:
    codec = handler.request_deserializer, _passing_bytes(handler.response_serializer)
    if handler.response_streaming:
        inner = handler.stream_stream if handler.request_streaming else handler.unary_stream
        stream = _guarded_stream(cast("Stream", inner), method, is_allowed)
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


def _guarded_stream(inner: Stream, method: str, is_allowed: bool) -> Stream:
    async def outer(request: object, context: Context[object, object]) -> AsyncGenerator[object, None]:
        try:
            _admit(is_allowed)
            async with aclosing(inner(request, context)) as responses:
                async for response in responses:
                    yield response
        except (Exception, asyncio.CancelledError) as error:
            await _fail(context, error, method)

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
