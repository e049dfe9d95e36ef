"""Every gRPC option the SDK sets, one table per side."""

from __future__ import annotations

MAX_MESSAGE_BYTES = 4 * 1024 * 1024  # gRPC's own default, so that any stock client works
MAX_WAITING_CALLS = 100_000  # more than a machine has descriptors and memory for

SERVER_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.so_reuseport", 0),
    # The key that servers read; the C macro's name for it is ignored.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_ping_strikes", 2),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", 16 * 1024),
    # Calls that wait for their turn: of more than 1,000, the default, some hang for ever without an error.
    ("grpc.server.max_pending_requests", MAX_WAITING_CALLS),
    ("grpc.server.max_pending_requests_hard_limit", MAX_WAITING_CALLS),
)

CHANNEL_OPTIONS: tuple[tuple[str, int], ...] = (
    # Subchannels are shared by the whole process otherwise, and with them errors of earlier servers.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # For all its name the time-out of one attempt; a process that is given no processor greets late.
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
)
