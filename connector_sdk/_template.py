"""Fork connectors from a process that has imported all that they need, which takes longer than the rest of a start.

The gateway starts `python -m connector_sdk template` with a socket as its stdin, on which each message is one packet:
first comes `{"template": 1}`, then an answer to each request, in their order. With `{"fork": true}` come the
descriptors that the new process gets as 0 to 3, and a file with its order, which it reads itself: what one connector is
told is in no memory that the next one gets. Its number is the answer; once it has ended it stays a zombie, so that
nobody else can have its number, until the gateway asks how it ended: `{"reap": number}`. The socket's end is the
template's.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import socket
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from connector_sdk._load import provide_interface
from connector_sdk._start import STDIN, StartError

VERSION = 1
LONGEST_REQUEST_BYTES = 4096  # it has a number at most
DESCRIPTORS = 5
TASKS = Path("/proc/self/task")
SHARED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals that come to all processes of a service at once: how connectors end must be told even then."""

Handler = Callable[[int, FrameType | None], object] | int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A process that is wanted."""

    name: str
    """What `ps` and `top` show."""
    arguments: list[str]
    """Of `python -m connector_sdk`."""
    environment: dict[str, str]
    work_dir: str
    entrance: str = ""
    """Of the control group that limits its memory; empty = none does."""


def await_order() -> tuple[Order, list[int]]:
    """Serve the gateway; returns in each process that is forked, with its order and its descriptors 0 to 3.

    It never returns in the template itself. What runs behind it in a new process is above this frame, not below it, so
    that nothing that goes wrong there can come back to here.
    """
    if sys.platform != "linux" or not stat.S_ISSOCK(os.fstat(STDIN).st_mode):
        raise StartError("A template is started by the gateway, on Linux, and not by hand.")
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in SHARED}
    _prepare()
    control = socket.socket(fileno=STDIN)
    _tell(control, {"template": VERSION})
    while True:
        data, ends, _, _ = socket.recv_fds(control, LONGEST_REQUEST_BYTES, DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
        if not data:
            sys.exit(0)
        request = json.loads(data)
        if "reap" in request:
            _tell(control, {"status": _reap(request["reap"])})
            continue
        number, why = _fork()
        if number == 0:
            # Its number is something else's in a moment.
            control.detach()
            _restore(handlers)
            return _read(ends.pop()), ends
        for end in ends:
            os.close(end)
        _tell(control, {"error": why} if why else {"pid": number})


def _read(descriptor: int) -> Order:
    with open(descriptor, "rb") as file:
        return Order(**json.load(file))


def _prepare() -> None:
    importlib.import_module("connector_sdk._process")
    provide_interface()
    # A collector that looks at what is here now would write to it, and so make copies of pages that are shared.
    gc.disable()
    gc.freeze()


def _fork() -> tuple[int, str]:
    threads = len(list(TASKS.iterdir()))
    if threads != 1:
        # What another thread has locked stays locked in the copy.
        return -1, f"it has {threads} threads"
    try:
        return os.fork(), ""
    except OSError as error:
        return -1, f"it cannot fork: {error.strerror}"


def _restore(handlers: dict[signal.Signals, Handler]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _reap(pid: int) -> int | None:
    """Say how a process ended that has ended; None = it was none of the template's."""
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:
        return None


def _tell(control: socket.socket, message: dict[str, object]) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):  # a gateway that is gone is noticed by the next read
        control.send(json.dumps(message).encode())
