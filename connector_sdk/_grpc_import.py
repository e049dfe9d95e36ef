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


def import_grpc() -> None:
    """Import it with what suits a connector."""
    os.environ.update(GRPC_ENVIRONMENT)
    importlib.import_module("grpc")
