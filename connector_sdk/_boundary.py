"""The one place where calls enter and exceptions become status.

Every call must carry the gateway's token; every answer carries the connector's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import NoReturn, TypeAlias, cast

import grpc
from grpc_status import rpc_status

from connector_sdk._classify import classify
from connector_sdk._gateway_token import GatewayToken
from connector_sdk._redact import Secrets
from connector_sdk._status import to_status
from connector_sdk.errors import CredentialsRejectedError

TOKEN_HEADER = "x-connector-token"  # noqa: S105 - its name, not its value

Context = grpc.aio.ServicerContext
Handler: TypeAlias = "grpc.RpcMethodHandler[object, object]"
Answer = Callable[[object, "Context[object, object]"], Awaitable[object]]
Stream = Callable[[object, "Context[object, object]"], AsyncGenerator[object, None]]
Serialize = Callable[[object], bytes]


class Boundary(grpc.GenericRpcHandler):
    """Check tokens, map exceptions, and count the calls under way.

    To a service it is the server to which it is added, and to the server its handler: an interceptor would cost every
    call three coroutines, and handlers of its own.
    """

    def __init__(self, gateway_token: GatewayToken, connector_token: str, secrets: Secrets) -> None:
        """Expect one token and prove to have the other."""
        self._gateway_token = gateway_token
        self._proof = ((TOKEN_HEADER, connector_token),)
        self._secrets = secrets
        self._known: dict[str, Handler] = {}
        self._refusing: dict[str, Handler] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._in_flight = 0

    async def wait_until_idle(self) -> None:
        """Wait until no call is under way; `Server.stop` returns before handlers have cleaned up (grpc#37239)."""
        await self._idle.wait()

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        """Take the methods of a service."""
        for name, handler in handlers.items():
            self._known[f"/{service}/{name}"] = self._guarded(handler, is_known=True)
            self._refusing[f"/{service}/{name}"] = self._guarded(handler, is_known=False)

    def add_generic_rpc_handlers(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Take nothing: these are the same methods once more."""

    def service(self, call: grpc.HandlerCallDetails) -> Handler | None:
        """Give the handler of one call."""
        is_known = self._gateway_token.is_in(call.invocation_metadata)
        return (self._known if is_known else self._refusing).get(call.method)

    def _guarded(self, handler: Handler, *, is_known: bool) -> Handler:
        codec = handler.request_deserializer, _passing_bytes(handler.response_serializer)
        if handler.response_streaming:
            inner = handler.stream_stream if handler.request_streaming else handler.unary_stream
            stream = self._guarded_stream(cast("Stream", inner), is_known)
            if handler.request_streaming:
                return grpc.stream_stream_rpc_method_handler(stream, *codec)
            return grpc.unary_stream_rpc_method_handler(stream, *codec)
        answer = handler.stream_unary if handler.request_streaming else handler.unary_unary
        unary = self._guarded_answer(cast("Answer", answer), is_known)
        if handler.request_streaming:
            return grpc.stream_unary_rpc_method_handler(unary, *codec)
        return grpc.unary_unary_rpc_method_handler(unary, *codec)

    def _guarded_answer(self, answer: Answer, is_known: bool) -> Answer:
        async def call(request: object, context: Context[object, object]) -> object:
            self._begin()
            try:
                _admit(is_known)
                await context.send_initial_metadata(self._proof)
                return await answer(request, context)
            except (Exception, asyncio.CancelledError) as error:
                return await self._fail(context, error)
            finally:
                self._end()

        return call

    def _guarded_stream(self, answer: Stream, is_known: bool) -> Stream:
        async def call(request: object, context: Context[object, object]) -> AsyncGenerator[object, None]:
            self._begin()
            try:
                _admit(is_known)
                await context.send_initial_metadata(self._proof)
                async with aclosing(answer(request, context)) as messages:
                    async for message in messages:
                        yield message
            except (Exception, asyncio.CancelledError) as error:
                await self._fail(context, error)
            finally:
                self._end()

        return call

    def _begin(self) -> None:
        self._in_flight += 1
        self._idle.clear()

    def _end(self) -> None:
        self._in_flight -= 1
        if not self._in_flight:
            self._idle.set()

    async def _fail(self, context: Context[object, object], error: BaseException) -> NoReturn:
        """End a call with what its caller may know of an error."""
        if isinstance(error, grpc.aio.AbortError):
            raise error
        if isinstance(error, Exception):
            await context.abort_with_status(rpc_status.to_status(to_status(classify(error), self._secrets)))
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise error
        # A handler that ends with a cancellation of somebody else's leaves its client waiting (grpc#29248).
        await context.abort(grpc.StatusCode.CANCELLED, "Something that the call waited for was cancelled.")


def _admit(is_known: bool) -> None:
    if not is_known:
        raise CredentialsRejectedError("The call does not carry the token of this connector's gateway.")


def _passing_bytes(serialize: Serialize | None) -> Serialize | None:
    """Let a servicer answer with bytes that are in wire format already, as a file's are."""
    if serialize is None:
        return None
    return lambda response: response if isinstance(response, bytes) else serialize(response)
