"""Going on after a cut: one engine for calls that may be repeated and for streams that have a cursor."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

import grpc

from gateway.client.errors import GatewayCallError
from gateway.client.patience import Patience
from gateway.client.rpc import Response, Result, Rpc

_CUT_CODES = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    }
)
"""What a broken connection looks like; only where the gateway attached no reason, which it does to all its errors."""

_CUT_REASONS = frozenset({"PLATFORM_UNAVAILABLE", "PLATFORM_TIMEOUT", "CONNECTOR_DOWN", "OVERLOADED", "RATE_LIMITED"})
"""What passes by itself, in the gateway's words."""


def is_cut(error: GatewayCallError) -> bool:
    """Say whether the same call may well succeed a little later."""
    return error.reason in _CUT_REASONS if error.is_from_gateway else error.code in _CUT_CODES


async def retrying(rpc: Rpc, patience: Patience, call: Callable[[], Awaitable[Result]]) -> Result:
    """Make a call that may be repeated until it gets through or patience ends; then its last error is raised."""
    while True:
        try:
            return await call()
        except GatewayCallError as error:
            await wait_out(rpc, patience, error)


async def resuming(
    rpc: Rpc,
    patience: Patience,
    open_stream: Callable[[], AsyncGenerator[Response, None]],
    is_last: Callable[[Response], bool],
    on_cut: Callable[[GatewayCallError], None] | None = None,
) -> AsyncGenerator[Response, None]:
    """Read a stream until its last message, opening it again after every cut.

    `open_stream` is called anew each time and has to continue behind what was read. `on_cut` hears of each failure
    after which it goes on.
    """
    while True:
        try:
            async with aclosing(open_stream()) as messages:
                async for message in messages:
                    patience.succeeded()
                    yield message
                    if is_last(message):
                        return

            cut = GatewayCallError("", grpc.StatusCode.UNAVAILABLE, "the stream was cut before its end")
        except GatewayCallError as error:
            cut = error

        await wait_out(rpc, patience, cut, on_cut)


async def wait_out(
    rpc: Rpc, patience: Patience, error: GatewayCallError, on_cut: Callable[[GatewayCallError], None] | None = None
) -> None:
    """Wait until it is time for another try, or raise the error where another try makes no sense."""
    if error.code is grpc.StatusCode.UNAUTHENTICATED and rpc.refresh():
        # The gateway was replaced by one with another token, which has been read now.
        return

    delay = patience.next_delay(error.retry_after) if is_cut(error) else None
    if delay is None:
        raise error

    if on_cut is not None:
        on_cut(error)

    await rpc.sleep(delay)
    rpc.refresh()
