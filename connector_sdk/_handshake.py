"""Answer the gateway, once, where it listens for it: docs/protocol.md, handshake."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from connector_sdk._identity import SDK
from connector_sdk._start import PROTOCOLS, Bootstrap

HANDSHAKE = 3
PROC_STAT = Path("/proc/self/stat")
PROC_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
START_TIME_FIELD = 22  # as proc(5) counts them, from 1


def report_ready(bootstrap: Bootstrap, contract_digest: str) -> None:
    """Tell the gateway where the servers listen, and which process this is."""
    _report(
        {
            "version": 1,
            "protocol": max(set(PROTOCOLS) & set(bootstrap.protocols)),
            "address": f"unix:{bootstrap.socket}",
            "pid": os.getpid(),
            "sdk": SDK,
            "protocols": PROTOCOLS,
            "start_time": start_time(),
            "boot_id": boot_id(),
            "contract_digest": contract_digest,
            "health_address": f"unix:{bootstrap.health_socket}",
        }
    )


def report_failure(message: str) -> None:
    """Tell the gateway why there will be no server."""
    _report({"version": 1, "error": " ".join(message.split())})


def start_time() -> int | None:
    """Say when this process started, in clock ticks since the machine did; None where there is no /proc."""
    try:
        content = PROC_STAT.read_text()
    except OSError:
        return None
    # The second field is the program's name in parentheses, and may have blanks and parentheses itself.
    return int(content.rpartition(")")[2].split()[START_TIME_FIELD - 3])


def boot_id() -> str:
    """Name this run of the machine; empty where the kernel does not."""
    try:
        return PROC_BOOT_ID.read_text().strip()
    except OSError:
        return ""


def _report(message: Mapping[str, object]) -> None:
    with suppress(OSError):  # a gateway that is gone is noticed by the lifeline
        mode = os.fstat(HANDSHAKE).st_mode
        if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
            os.write(HANDSHAKE, json.dumps(message).encode() + b"\n")
            os.close(HANDSHAKE)
