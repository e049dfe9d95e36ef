"""Calls over the synchronous stack, in the shape of coroutines that never suspend."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import cast

import grpc
from grpc import aio

from gateway.client.channel import open_sync
from gateway.client.errors import call_error
from gateway.client.location import Location, Locator
from gateway.client.rpc import (
    STREAM_SECONDS,
    UNARY_SECONDS,
    Params,
    Request,
    Response,
    Result,
    Rpc,
    Stubs,
)


class SyncRpc(Rpc):
    """Blocks while it waits. The casts are the price of one set of verbs: stubs over a channel have its stack."""

    def __init__(
        self,
        location: Location,
        locator: Locator | None = None,
        *,
        channel: grpc.Channel | None = None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._given = channel
        self._channels: list[grpc.Channel] = []
        self._now = now
        self._sleep = sleep
        super().__init__(location, locator)

    def _connect(self, location: Location) -> Stubs:
        channel = self._given or open_sync(location)
        if self._given is None:
            self._channels.append(channel)

        return Stubs(cast("aio.Channel", channel))

    def close(self) -> None:
        """Close the channels that were opened here; one that was passed in stays its owner's."""
        while self._channels:
            self._channels.pop().close()

    def now(self) -> float:
        return self._now()

    async def sleep(self, seconds: float) -> None:
        self._sleep(seconds)

    async def offload(self, work: Callable[Params, Result], /, *args: Params.args, **kwargs: Params.kwargs) -> Result:
        return work(*args, **kwargs)

    async def unary(
        self,
        method: aio.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        timeout: float = UNARY_SECONDS,
    ) -> Response:
        blocking = cast("grpc.UnaryUnaryMultiCallable[Request, Response]", method)
        try:
            return blocking(request, timeout=timeout, metadata=self.metadata)
        except grpc.RpcError as error:
            raise call_error(error, self.location.address) from error

    async def stream(
        self,
        method: aio.UnaryStreamMultiCallable[Request, Response],
        request: Request,
        *,
        timeout: float = STREAM_SECONDS,
        idle: float | None = None,
    ) -> AsyncGenerator[Response, None]:
        # A blocking read cannot be given up after `idle`; keepalive pings and the deadline stand in for it.
        call = cast("grpc.UnaryStreamMultiCallable[Request, Response]", method)(
            request, timeout=timeout, metadata=self.metadata
        )
        try:
            for message in call:
                yield message
        except grpc.RpcError as error:
            raise call_error(error, self.location.address) from error
        finally:
            call.cancel()

    async def send(
        self,
        method: aio.StreamUnaryMultiCallable[Request, Response],
        requests: Iterator[Request],
        timeout: float = STREAM_SECONDS,
    ) -> Response:
        blocking = cast("grpc.StreamUnaryMultiCallable[Request, Response]", method)
        try:
            return blocking(requests, timeout=timeout, metadata=self.metadata)
        except grpc.RpcError as error:
            raise call_error(error, self.location.address) from error
