"""The gRPC channel to one process of a connector, and how both sides prove who they are on it."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from pathlib import Path
from types import MappingProxyType

import grpc
import grpc.aio

from gateway.plugins.elsewhere import Elsewhere
from gateway.plugins.handshake import Tokens

CHANNEL_OPTIONS = MappingProxyType(
    {
        # An authority made from a socket's path is refused by servers in other languages.
        "grpc.default_authority": "localhost",
        # A pool of one's own: the shared one remembers failures of channels before (grpc#21089).
        "grpc.use_local_subchannel_pool": 1,
        # A frozen process is noticed within 25 s even while nothing is asked.
        "grpc.keepalive_time_ms": 20_000,
        "grpc.keepalive_timeout_ms": 5_000,
        # Without it the time-out above means nothing: pings wait 60 s.
        "grpc.http2.ping_timeout_ms": 5_000,
        "grpc.http2.max_pings_without_data": 0,
        "grpc.keepalive_permit_without_calls": 1,
        # The socket is local: coming back costs nothing.
        "grpc.initial_reconnect_backoff_ms": 100,
        "grpc.max_reconnect_backoff_ms": 2_000,
        # For all its name the time-out of one attempt; a process that is given no processor greets late.
        "grpc.min_reconnect_backoff_ms": 5_000,
        # Repeating is decided by `calls`, which knows what may be repeated.
        "grpc.enable_retries": 0,
        "grpc.max_receive_message_length": 4 * 1024 * 1024,
        # A slow reader of a log is felt by its writer after 100 KiB and not after 6 MiB.
        "grpc.http2.bdp_probe": 0,
    }
)

_PROOF = "x-connector-token"


def open_channel(socket: Path) -> grpc.aio.Channel:
    """Open a channel to a socket; it connects with the first call."""
    return grpc.aio.insecure_channel(f"unix:{socket}", options=tuple(CHANNEL_OPTIONS.items()))


def open_remote_channel(elsewhere: Elsewhere) -> grpc.aio.Channel:
    """Open a channel to an address; it connects with the first call.

    Raises:
        Unusable: Its settings are wrong.

    """
    options = {**CHANNEL_OPTIONS, "grpc.max_reconnect_backoff_ms": 10_000}
    del options["grpc.default_authority"]
    if elsewhere.server_name:
        options["grpc.ssl_target_name_override"] = elsewhere.server_name
    secured = elsewhere.credentials()
    if secured is None:
        return grpc.aio.insecure_channel(elsewhere.address, options=tuple(options.items()))
    return grpc.aio.secure_channel(elsewhere.address, secured, options=tuple(options.items()))


def credentials(tokens: Tokens) -> grpc.aio.Metadata:
    """Return the metadata that proves the gateway to the connector."""
    return grpc.aio.Metadata(("authorization", f"Bearer {tokens.gateway}"))


def is_proven(metadata: Iterable[tuple[str, str | bytes]] | None, tokens: Tokens) -> bool:
    """Whether an answer's initial metadata proves that it came from the process that was launched."""
    expected = tokens.connector.encode()
    for key, value in metadata or ():
        if key == _PROOF:
            return hmac.compare_digest(value.encode() if isinstance(value, str) else value, expected)
    return False
