"""What the machine itself does with the bytes of a file, in MiB/s."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

MIB = 1024 * 1024
WORK_MIB = 256
"""Of each kind: enough for a tenth of a second."""
PIECE = bytes(MIB)


def hashed() -> None:
    """Hash all bytes."""
    digest = hashlib.sha256()
    for _ in range(WORK_MIB):
        digest.update(PIECE)


def written() -> None:
    """Write all bytes into the page cache and to the disk."""
    with TemporaryDirectory(prefix="peft-bench-") as name, (Path(name) / "file").open("wb", buffering=0) as file:
        for _ in range(WORK_MIB):
            file.write(PIECE)
        os.fsync(file.fileno())


def sent() -> None:
    """Send all bytes over the loopback interface, to a thread that reads them."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as sender:
        receiver, _ = server.accept()
        with receiver:
            reading = threading.Thread(target=_read, args=(receiver,))
            reading.start()
            for _ in range(WORK_MIB):
                sender.sendall(PIECE)
            sender.shutdown(socket.SHUT_WR)
            reading.join()


def rate(work: Callable[[], None]) -> float:
    """Return how many MiB a second it does."""
    began = time.perf_counter()
    work()
    return WORK_MIB / (time.perf_counter() - began)


def _read(receiver: socket.socket) -> None:
    buffer = bytearray(MIB)
    while receiver.recv_into(buffer):
        pass
