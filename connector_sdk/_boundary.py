"""The one place where calls enter and exceptions become status.

Every call but those of the health service must carry the gateway's token; every answer carries the connector's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import cast

import grpc
from grpc_status import rpc_status

from connector_sdk._classify import classify
from connector_sdk._gateway_token import GatewayToken
from connector_sdk._redact import Secrets
from connector_sdk._status import to_status
from connector_sdk.errors import CredentialsRejectedError

HEALTH_PREFIX = "/grpc.health.v1.Health/"
TOKEN_HEADER = "x-connector-token"  # noqa: S105 - its name, not its value

Context = grpc.aio.ServicerContext
Continuation = Callable[[grpc.HandlerCallDetails], Awaitable["grpc.RpcMethodHandler[object, object] | None"]]
UnaryAnswer = Callable[[object, "Context[object, object]"], Awaitable[object]]
Serialize = Callable[[object], bytes]
StreamAnswer = Callable[[object, "Context[object, object]"], AsyncGenerator[object, None]]


class Boundary(grpc.aio.ServerInterceptor):
    """Check tokens, map exceptions, and count the calls under way."""

    def __init__(self, gateway_token: GatewayToken, connector_token: str, secrets: Secrets) -> None:
        """Expect one token and prove to have the other."""
        self._gateway_token = gateway_token
        self._connector_token = connector_token
        self._secrets = secrets
        self._idle = asyncio.Event()
        self._idle.set()
        self._in_flight = 0

    async def wait_until_idle(self) -> None:
        """Wait until no call is under way; `Server.stop` returns before handlers have cleaned up (grpc#37239)."""
        await self._idle.wait()

    async def intercept_service(  # type: ignore[override]  # the stub makes the method generic; the request types are not ours
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[object, object] | None:
        """Wrap the handler of one call, whatever its arity."""
        handler = await continuation(handler_call_details)
        if handler is None or handler_call_details.method.startswith(HEALTH_PREFIX):
            return handler
        return self._wrapped(handler, self._gateway_token.is_in(handler_call_details.invocation_metadata))

    def _wrapped(
        self, handler: grpc.RpcMethodHandler[object, object], is_known: bool
    ) -> grpc.RpcMethodHandler[object, object]:
        codec = (handler.request_deserializer, _passing_bytes(handler.response_serializer))
        if handler.response_streaming:
            inner = cast("StreamAnswer", handler.stream_stream if handler.request_streaming else handler.unary_stream)
            streaming = self._guard_stream(inner, is_known)
            make = (
                grpc.stream_stream_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_stream_rpc_method_handler
            )
            return make(streaming, *codec)
        unary = cast("UnaryAnswer", handler.stream_unary if handler.request_streaming else handler.unary_unary)
        guarded = self._guard_unary(unary, is_known)
        if handler.request_streaming:
            return grpc.stream_unary_rpc_method_handler(guarded, *codec)
        return grpc.unary_unary_rpc_method_handler(guarded, *codec)

    def _guard_unary(self, answer: UnaryAnswer, is_known: bool) -> UnaryAnswer:
        async def call(request: object, context: Context[object, object]) -> object:
            async with self._guard(context, is_known):
                return await answer(request, context)

        return call

    def _guard_stream(self, answer: StreamAnswer, is_known: bool) -> StreamAnswer:
        async def call(request: object, context: Context[object, object]) -> AsyncGenerator[object, None]:
            async with self._guard(context, is_known), aclosing(answer(request, context)) as messages:
                async for message in messages:
                    yield message

        return call

    @asynccontextmanager
    async def _guard(self, context: Context[object, object], is_known: bool) -> AsyncIterator[None]:
        self._in_flight += 1
        self._idle.clear()
        try:
            if not is_known:
                raise CredentialsRejectedError("The call does not carry the token of this connector's gateway.")
            await context.send_initial_metadata(((TOKEN_HEADER, self._connector_token),))
            yield
        except grpc.aio.AbortError:
            raise
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # A handler that ends with a cancellation of somebody else's leaves its client waiting (grpc#29248).
            await context.abort(grpc.StatusCode.CANCELLED, "Something that the call waited for was cancelled.")
        except Exception as error:
            await context.abort_with_status(rpc_status.to_status(to_status(classify(error), self._secrets)))
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()


def _passing_bytes(serialize: Serialize | None) -> Serialize | None:
    """Let a servicer answer with bytes that are in wire format already, as a file's are."""
    if serialize is None:
        return None
    return lambda response: response if isinstance(response, bytes) else serialize(response)
