"""What people would put in the gateway's place, run beside it in the same measurement.

Those that are Python packages have an environment of their own, `.cache/peers`, which `make bench` sets up.
"""

from __future__ import annotations

from pathlib import Path

PEERS = Path(__file__).parents[3] / ".cache" / "peers" / "bin"


def peers_program(name: str) -> Path:
    """Return a program of the peers' environment."""
    return PEERS / name


def flyte_server_path() -> Path:
    """Return the program that serves Flyte's service; nothing here can import it."""
    return Path(__file__).with_name("flyte_server.py")
