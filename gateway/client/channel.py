"""How channels to the gateway are opened: one table of options, for both gRPC stacks."""

from __future__ import annotations

import grpc
from grpc import aio

from gateway.client.errors import NoGatewayError
from gateway.client.location import Location

OPTIONS: tuple[tuple[str, int], ...] = (
    # The process-wide pool would hand the error of a dead gateway to the channel of its successor.
    ("grpc.use_local_subchannel_pool", 1),
    # A gateway that stopped or vanished without a word is noticed after 10 s and one unanswered ping of 5 s.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    # A follower of a quiet log sends nothing but pings for hours.
    ("grpc.http2.max_pings_without_data", 0),
    # A restarted gateway is found within two seconds instead of two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # For all its name the time-out of one attempt; a gateway that is given no processor greets late.
    ("grpc.min_reconnect_backoff_ms", 5_000),
)


def open_aio(location: Location) -> aio.Channel:
    """Open a channel of the asyncio stack."""
    if location.tls:
        return aio.secure_channel(location.address, _credentials(location), options=OPTIONS)

    return aio.insecure_channel(location.address, options=OPTIONS)


def open_sync(location: Location) -> grpc.Channel:
    """Open a channel of the synchronous stack."""
    if location.tls:
        return grpc.secure_channel(location.address, _credentials(location), options=OPTIONS)

    return grpc.insecure_channel(location.address, options=OPTIONS)


def _credentials(location: Location) -> grpc.ChannelCredentials:
    if location.ca_file is None:
        return grpc.ssl_channel_credentials()

    try:
        return grpc.ssl_channel_credentials(location.ca_file.read_bytes())
    except OSError as error:
        raise NoGatewayError(f"the certificate authority's file cannot be read: {error}") from error
