"""The gateway's data folder: one gateway at a time, its token, and where it can be reached.

| name            | what |
|-----------------|------|
| `ledger.db`     | jobs, connections (sealed credentials), events, metrics; absent where the ledger is on a server |
| `logs/`         | one folder a job |
| `blobs/`        | files by their sha256 |
| `datasets/`     | uploaded datasets under their own names |
| `connectors/`   | connectors of one's own; `connectors.json` beside it configures them |
| `instances/`    | a working folder for each connector |
| `key`, `token`  | key of the credentials; token of the clients; both readable by their owner alone |
| `endpoint.json` | address of the running gateway |
| `gateway.lock`  | held while a gateway runs |
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.errors import StorageFull, WrongState


class DataFolder:
    """Hold the data folder for as long as the gateway runs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = -1

    def __enter__(self) -> Self:
        """Make the folder and take it.

        Raises:
            StorageFull: It cannot be written.
            WrongState: Another gateway has it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(self.path / "gateway.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageFull(
                f"the data folder {self.path} cannot be written: {error.strerror}; choose another with --data-dir"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            raise WrongState(
                f"another gateway is running in {self.path}; stop it, or choose another --data-dir"
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the folder free."""
        (self.path / "endpoint.json").unlink(missing_ok=True)
        os.close(self._lock)

    def token(self) -> str:
        """Return the clients' token; the first start makes it."""
        path = self.path / "token"
        token = path.read_text().strip() if path.exists() else ""
        if not token:
            # An empty file, e.g. after a power cut, must not let everybody in.
            token = secrets.token_urlsafe(32)
            _write_private(path, token + "\n")
        return token

    def announce(self, address: str, *, is_tls: bool) -> None:
        """Tell clients on this machine where the gateway is."""
        text = json.dumps({"address": address, "pid": os.getpid(), "tls": is_tls})
        _write_private(self.path / "endpoint.json", text)


def _write_private(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
