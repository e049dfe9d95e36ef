"""Import gRPC, which reads its environment when it is imported and never again."""

from __future__ import annotations

import importlib
import os

GRPC_ENVIRONMENT = {
    # gRPC's fork handlers break children of processes that use it.
    "GRPC_ENABLE_FORK_SUPPORT": "0",
    # Its own log would end up in the connector's.
    "GRPC_VERBOSITY": "ERROR",
}

QUICKER = {
    # Its event engine hands each event through two threads; the poller of before it was Python's until grpc#41432.
    "GRPC_EXPERIMENTS": "-event_engine_client,-event_engine_listener",
    # With epoll one thread polls for all servers of a process: that of health would wake that of the work every time.
    "GRPC_POLL_STRATEGY": "poll",
}
"""What makes a call cost less, where nobody has said otherwise; programs that an author starts do not get it."""


def import_grpc() -> None:
    """Import it with what suits a connector."""
    os.environ.update(GRPC_ENVIRONMENT)
    ours = {name: value for name, value in QUICKER.items() if name not in os.environ}
    os.environ.update(ours)
    importlib.import_module("grpc")
    for name in ours:
        del os.environ[name]
