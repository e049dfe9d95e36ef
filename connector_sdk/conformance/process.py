"""A connector's process, launched as docs/protocol.md says."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from connector_sdk.conformance import _shim
from connector_sdk.conformance.check import FailedCheck

POLL_SECONDS = 0.005
LONGEST_HANDSHAKE_BYTES = 64 * 1024
HANDSHAKE_SECONDS = 10.0  # the protocol's
PIPE_CLOSED = b""


def _token() -> str:
    return secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """How a process is to be launched."""

    command: Sequence[str]
    environment: Mapping[str, str]
    work_dir: Path
    runtime_dir: Path
    """Empty, private, and its own."""
    changes: Mapping[str, object] = field(default_factory=dict)
    """What is different in its bootstrap."""
    line: bytes | None = None
    """What it gets instead of a bootstrap."""
    gateway_token: str = field(default_factory=_token)
    connector_token: str = field(default_factory=_token)

    @property
    def socket(self) -> Path:
        """Where it is to listen."""
        return self.runtime_dir / "s"

    def bootstrap(self) -> bytes:
        """Give the line that it reads."""
        if self.line is not None:
            return self.line
        told = {
            "version": 1,
            "instance_id": "conformance",
            "generation": 1,
            "socket": str(self.socket),
            "gateway_token": self.gateway_token,
            "connector_token": self.connector_token,
            "protocols": [1],
            "log_level": "INFO",
            "work_dir": str(self.work_dir),
            **self.changes,
        }
        return json.dumps(told).encode() + b"\n"


class Process:
    """A process that was launched; `order` says how."""

    def __init__(self, order: Order) -> None:
        """Launch it, and write nothing yet."""
        self.order = order
        self.said = b""
        """What came on descriptor 3."""
        self._is_closed = False
        self.output_path = order.runtime_dir.with_suffix(".out")
        self._handshake, writer = os.pipe()
        try:
            with self.output_path.open("ab") as output:
                self._popen = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(_shim.__file__), str(writer), *order.command],
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=(writer,),
                    cwd=order.work_dir,
                    env=dict(order.environment),
                    start_new_session=True,
                )
        finally:
            os.close(writer)
        os.set_blocking(self._handshake, False)
        self.started_at = time.monotonic()

    @property
    def pid(self) -> int:
        """Its number, and that of its session."""
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended; None = it runs."""
        return self._popen.poll()

    def write(self, data: bytes) -> None:
        """Write to its stdin."""
        with suppress(BrokenPipeError):
            stdin = self._stdin()
            stdin.write(data)
            stdin.flush()

    def cut_lifeline(self) -> None:
        """Do what the death of a gateway does."""
        with suppress(BrokenPipeError):
            self._stdin().close()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process itself."""
        if self.exit_code is None:
            os.kill(self.pid, number)

    async def line(self, seconds: float = HANDSHAKE_SECONDS) -> bytes:
        """Wait for the first line on descriptor 3, or what came until it was closed or time was over."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self.said and not self.has_closed() and time.monotonic() < deadline:  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(POLL_SECONDS)
        return self.said.partition(b"\n")[0]

    async def handshake(self, seconds: float = HANDSHAKE_SECONDS) -> dict[str, object]:
        """Wait for the handshake, and read it."""
        line = await self.line(seconds)
        if not line:
            raise FailedCheck(f"no handshake came within {seconds:g} s; {self.state()}")
        try:
            said = json.loads(line)
        except ValueError:
            raise FailedCheck(f"descriptor 3 has no JSON but {line[:100]!r}") from None
        if not isinstance(said, dict):
            raise FailedCheck(f"descriptor 3 has no JSON object but {line[:100]!r}")
        return cast("dict[str, object]", said)

    def has_closed(self) -> bool:
        """Read what there is on descriptor 3, and tell whether it is closed."""
        while not self._is_closed and len(self.said) < LONGEST_HANDSHAKE_BYTES:
            try:
                data = os.read(self._handshake, LONGEST_HANDSHAKE_BYTES)
            except BlockingIOError:
                return False
            self.said += data
            self._is_closed = data == PIPE_CLOSED
        return self._is_closed

    async def ends(self, seconds: float) -> bool:
        """Wait for its end."""
        deadline = time.monotonic() + seconds
        while self.exit_code is None and time.monotonic() < deadline:  # noqa: ASYNC110 - there is nothing to wait on
            await asyncio.sleep(POLL_SECONDS)
        return self.exit_code is not None

    def output(self) -> bytes:
        """Give what it printed so far."""
        return self.output_path.read_bytes()

    def state(self) -> str:
        """Say how it is, with the last line that it printed."""
        lines = self.output().decode(errors="replace").strip().splitlines()
        last = f"; it printed last: {lines[-1][:200]}" if lines else ""
        return (f"it ended with code {self.exit_code}" if self.exit_code is not None else "it runs") + last

    def close(self) -> None:
        """End what is left of it."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()
        self.cut_lifeline()
        os.close(self._handshake)

    def _stdin(self) -> subprocess._InputStream:  # type: ignore[name-defined]
        assert self._popen.stdin
        return self._popen.stdin
