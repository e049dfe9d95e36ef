"""Asks one process of a connector whether it serves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2

from gateway.cancellation import only_own_cancellation
from gateway.errors import ConnectorDown, GatewayError
from gateway.plugins.channel import open_channel

_WATCH = "/grpc.health.v1.Health/Watch"
_CHECK = "/grpc.health.v1.Health/Check"

_Check: TypeAlias = "grpc.aio.UnaryUnaryMultiCallable[health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse]"


class Health:
    """Speaks to the process where it serves, or at a socket for health alone."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        metadata: grpc.aio.Metadata,
        describe: Callable[[timedelta], Awaitable[object]],
    ) -> None:
        """Ask over the process's channel; `describe` makes a call that shows life where there is no health service."""
        self._channel = channel
        self._metadata = metadata
        self._describe = describe
        self._own_channel: grpc.aio.Channel | None = None
        self._lifeline: asyncio.Task[None] | None = None
        self._check = _check(channel)

    def ask_at(self, socket: Path) -> None:
        """Ask at a socket of its own from now on."""
        self._own_channel = open_channel(socket)
        self._check = _check(self._own_channel)

    async def is_serving(self, limit: timedelta) -> bool | None:
        """Return what the process says; None = no answer came in time."""
        try:
            with only_own_cancellation(lambda: ConnectorDown("the process ended during a health call")):
                answer: health_pb2.HealthCheckResponse = await self._check(
                    health_pb2.HealthCheckRequest(), timeout=limit.total_seconds(), wait_for_ready=True
                )
        except (ConnectorDown, grpc.aio.UsageError):
            return None
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                return None
            # Some languages' libraries have no health service; then an answer to Describe is the sign of life.
            with suppress(GatewayError):
                await self._describe(limit)
                return True
            return None
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    def hold(self) -> None:
        """Keep a health watch open, which is the lifeline of a process that an earlier gateway launched."""
        self._lifeline = asyncio.create_task(self._watch())

    @property
    def is_held(self) -> bool:
        """Whether a watch is the process's lifeline."""
        return self._lifeline is not None

    async def close(self) -> None:
        """Cut the lifeline and close the channel of its own."""
        if self._lifeline is not None:
            self._lifeline.cancel()
            await asyncio.gather(self._lifeline, return_exceptions=True)
        if self._own_channel is not None:
            await self._own_channel.close()

    async def _watch(self) -> None:
        watch = self._channel.unary_stream(
            _WATCH,
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        # A lifeline has no deadline: it lasts as long as the process.
        call = watch(health_pb2.HealthCheckRequest(), wait_for_ready=True, metadata=self._metadata)
        with suppress(grpc.aio.AioRpcError):
            async for _ in call:
                pass


def _check(channel: grpc.aio.Channel) -> _Check:
    return channel.unary_unary(
        _CHECK,
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
