"""Calls over the asyncio stack."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator

import grpc
from grpc import aio

from gateway.client.channel import open_aio
from gateway.client.errors import GatewayCallError, call_error
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


class AsyncRpc(Rpc):
    """Suspends while it waits."""

    def __init__(self, locator: Locator) -> None:
        self._channels: list[aio.Channel] = []
        super().__init__(locator.locate(), locator)

    def _connect(self, location: Location) -> Stubs:
        channel = open_aio(location)
        self._channels.append(channel)
        return Stubs(channel)

    async def close(self) -> None:
        """Close all channels; calls that are under way are cancelled."""
        while self._channels:
            await self._channels.pop().close()

    def now(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def offload(self, work: Callable[Params, Result], /, *args: Params.args, **kwargs: Params.kwargs) -> Result:
        return await asyncio.to_thread(work, *args, **kwargs)

    async def unary(
        self,
        method: aio.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        timeout: float = UNARY_SECONDS,
    ) -> Response:
        try:
            return await method(request, timeout=timeout, metadata=self.metadata)
        except aio.AioRpcError as error:
            raise call_error(error, self.location.address) from error
        except asyncio.CancelledError:
            raise _unless_we_cancelled() from None

    async def stream(
        self,
        method: aio.UnaryStreamMultiCallable[Request, Response],
        request: Request,
        *,
        timeout: float = STREAM_SECONDS,
        idle: float | None = None,
    ) -> AsyncGenerator[Response, None]:
        call = method(request, timeout=timeout, metadata=self.metadata)
        messages = aiter(call)
        try:
            while True:
                try:
                    async with asyncio.timeout(idle):
                        message = await anext(messages)
                except StopAsyncIteration:
                    return

                yield message
        except aio.AioRpcError as error:
            raise call_error(error, self.location.address) from error
        except TimeoutError as error:
            raise _silence() from error
        except asyncio.CancelledError:
            raise _unless_we_cancelled() from None
        finally:
            call.cancel()

    async def send(
        self,
        method: aio.StreamUnaryMultiCallable[Request, Response],
        requests: Iterator[Request],
        timeout: float = STREAM_SECONDS,
    ) -> Response:
        call = method(_from_thread(requests), timeout=timeout, metadata=self.metadata)
        try:
            return await call
        except aio.AioRpcError as error:
            raise call_error(error, self.location.address) from error
        except asyncio.CancelledError:
            raise _unless_we_cancelled() from None
        finally:
            call.cancel()


async def _from_thread(items: Iterator[Request]) -> AsyncIterator[Request]:
    while (item := await asyncio.to_thread(next, items, None)) is not None:
        yield item


def _silence() -> GatewayCallError:
    return GatewayCallError("", grpc.StatusCode.UNAVAILABLE, "the gateway gave no sign of life")


def _unless_we_cancelled() -> BaseException:
    """Tell a cancelled task from a call that the other side cancelled: grpc.aio raises the same for both."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        return asyncio.CancelledError()

    return GatewayCallError("", grpc.StatusCode.CANCELLED, "the gateway cancelled the call")
