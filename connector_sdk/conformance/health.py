"""Ask a connector's health, as gateways do."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import grpc
from grpc_health.v1 import health_pb2

SERVICE = "/grpc.health.v1.Health/"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
PROBE_SECONDS = 5.0  # a gateway is patient with what is busy; a blocked loop takes longer

Request = health_pb2.HealthCheckRequest
Response = health_pb2.HealthCheckResponse


async def check(channel: grpc.aio.Channel, service: str = "", *, seconds: float = PROBE_SECONDS) -> int:
    """Ask once."""
    ask = channel.unary_unary(
        f"{SERVICE}Check", request_serializer=Request.SerializeToString, response_deserializer=Response.FromString
    )
    answer = await ask(Request(service=service), timeout=seconds)
    return int(answer.status)


async def watch(
    channel: grpc.aio.Channel, service: str = "", *, seconds: float = PROBE_SECONDS
) -> AsyncGenerator[health_pb2.HealthCheckResponse, None]:
    """Follow it."""
    follow = channel.unary_stream(
        f"{SERVICE}Watch", request_serializer=Request.SerializeToString, response_deserializer=Response.FromString
    )
    call = follow(Request(service=service), timeout=seconds)
    try:
        async for answer in call:
            yield answer
    finally:
        call.cancel()
