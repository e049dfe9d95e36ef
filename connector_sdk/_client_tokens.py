"""Put the gateway's token on every call of a channel."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from typing import TypeVar

import grpc

Request = TypeVar("Request")
Call = TypeVar("Call")
Details = grpc.aio.ClientCallDetails
Requests = AsyncIterable[Request] | Iterable[Request]


class _Token:
    def __init__(self, token: str) -> None:
        self._authorization = f"Bearer {token}"

    def _with_token(self, details: Details) -> Details:
        metadata = grpc.aio.Metadata(*(details.metadata or ()), ("authorization", self._authorization))
        return grpc.aio.ClientCallDetails(
            details.method, details.timeout, metadata, details.credentials, details.wait_for_ready
        )


class _UnaryUnary(_Token, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self,
        continuation: Callable[[Details, Request], Awaitable[Call]],
        client_call_details: Details,
        request: Request,
    ) -> Call:
        return await continuation(self._with_token(client_call_details), request)


class _UnaryStream(_Token, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(
        self,
        continuation: Callable[[Details, Request], Awaitable[Call]],
        client_call_details: Details,
        request: Request,
    ) -> Call:
        return await continuation(self._with_token(client_call_details), request)


class _StreamUnary(_Token, grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(
        self,
        continuation: Callable[[Details, Requests[Request]], Awaitable[Call]],
        client_call_details: Details,
        request_iterator: Requests[Request],
    ) -> Call:
        return await continuation(self._with_token(client_call_details), request_iterator)


def token_interceptors(token: str) -> list[grpc.aio.ClientInterceptor]:
    """Give the interceptors of a channel whose calls carry `token`; the contract has these three arities."""
    return [_UnaryUnary(token), _UnaryStream(token), _StreamUnary(token)]
