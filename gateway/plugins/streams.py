"""Reads a stream in the name of one connection."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from gateway.errors import GatewayError, Reason, RemoteError
from gateway.plugins.calls import Caller
from gateway.plugins.client import Answer, ConnectorClient, Request, Stream
from gateway.priority import Priority


async def read(
    caller: Caller, client: ConnectorClient, pick: Stream[Request, Answer], request: Request, priority: Priority
) -> AsyncGenerator[Answer, None]:
    """Yield a stream's messages; opens the connection in the process where it is not open."""
    await caller.admit_stream(client, priority)
    try:
        seen = await caller.greet(client)
        try:
            async with aclosing(client.stream(pick, request)) as messages:
                async for message in messages:
                    yield message
            return
        except RemoteError as error:
            # It can come only instead of the first message, so that none is read twice.
            if error.reason is not Reason.NOT_CONNECTED:
                raise
        await caller.open(client, seen)
        async with aclosing(client.stream(pick, request)) as messages:
            async for message in messages:
                yield message
    except GatewayError as error:
        await caller.stream_failed(error)
        raise
