"""Make unix sockets that nobody else can connect to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from connector_sdk._start import ExitCode, StartError

PRIVATE = 0o077


@contextmanager
def private_socket(socket: Path) -> Iterator[None]:
    """Let a server listen at `socket` meanwhile; raises `StartError` where that cannot be had.

    What an earlier process left there is removed first.
    """
    before = os.umask(PRIVATE)
    try:
        socket.unlink(missing_ok=True)
        yield
        socket.chmod(0o600)
    except (OSError, RuntimeError) as error:
        message = f"The socket {socket} cannot be made ({error}): see that its folder exists and is writable."
        raise StartError(message, ExitCode.TRY_AGAIN) from error
    finally:
        os.umask(before)
