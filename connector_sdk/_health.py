# ruff: noqa: N802 - the contract names the methods
"""Serve health on the connector's own loop. A Watch that carries the gateway's token is a lifeline, too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, nullcontext

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from connector_sdk._contract import SERVICE
from connector_sdk._gateway_token import GatewayToken

SERVICES = ("", SERVICE)
"""What is asked for: the process, and the loop that does its work."""

Hold = Callable[[], AbstractContextManager[None]]
Answer = health_pb2.HealthCheckResponse
Context = grpc.aio.ServicerContext[health_pb2.HealthCheckRequest, Answer]


class Health(health_pb2_grpc.HealthServicer):
    """Answer SERVING until the connector drains. Each Watch ends then, so that none holds up the drain."""

    def __init__(self, token: GatewayToken, hold: Hold = nullcontext) -> None:
        """Be in `hold()` as long as a Watch of the gateway's is open."""
        self._token = token
        self._hold = hold
        self._draining = asyncio.Event()

    def drain(self) -> None:
        """Answer NOT_SERVING from now on."""
        self._draining.set()

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Context) -> Answer:
        """Say how it is now."""
        if request.service not in SERVICES:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"There is no service {request.service[:100]!r} here.")
        return self._answer(request.service)

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Context) -> AsyncGenerator[Answer, None]:
        """Say how it is now, and when that changes."""
        is_gateway = self._token.is_in(context.invocation_metadata())
        with self._hold() if is_gateway else nullcontext():
            yield self._answer(request.service)
            await self._draining.wait()
            yield self._answer(request.service)

    def _answer(self, service: str) -> Answer:
        if service not in SERVICES:
            return Answer(status=Answer.SERVICE_UNKNOWN)
        return Answer(status=Answer.NOT_SERVING if self._draining.is_set() else Answer.SERVING)
