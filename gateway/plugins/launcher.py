"""Launches connectors' processes as `docs/protocol.md` describes it.

argv is a list, the environment an allow-list, the session the process's own. Its stdin carries the bootstrap and is
then the lifeline; credentials are in neither argv nor environment. `shim.py` brings the handshake's pipe to
descriptor 3.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.plugins import shim
from gateway.plugins.environment import child_environment
from gateway.plugins.failures import StartFailed
from gateway.plugins.handshake import Bootstrap
from gateway.plugins.lines import LastLines
from gateway.plugins.log_tail import LogTail
from gateway.plugins.model import ExitClass
from gateway.plugins.pipes import HandshakePipe, LogPipe
from gateway.plugins.process import Child, Pipes

_SHIM = str(Path(shim.__file__).resolve())


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchOrder:
    """A process to be launched."""

    command: tuple[str, ...]
    declared: tuple[str, ...]
    """Variables that the manifest asks for."""
    bootstrap: Bootstrap
    entrance: Path | None = None
    """Of the control group that limits its memory; None = none does."""
    log_file: Path | None = None
    """Where it prints to; None = into pipes, which break with the gateway."""


class Launcher:
    """Launches processes with what the gateway's environment allows."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    async def launch(self, order: LaunchOrder, lines: LastLines) -> Child:
        """Launch a process and hand it its bootstrap.

        Raises:
            StartFailed: The system cannot start another process.

        """
        reader, writer = os.pipe()
        try:
            process = self._spawn(order, writer)
        except OSError as error:
            os.close(reader)
            raise StartFailed(f"its process cannot be started: {error}", ExitClass.ERROR) from error
        finally:
            os.close(writer)
        try:
            child = Child(process, await _connect(process, reader, lines, order.log_file), lines)
        except BaseException:
            # Nobody else knows of the process yet.
            process.kill()
            process.wait()
            raise
        _write(process, order.bootstrap.line())
        return child

    def _spawn(self, order: LaunchOrder, writer: int) -> subprocess.Popen[bytes]:
        log = None if order.log_file is None else _open_log(order.log_file)
        try:
            return self._popen(order, writer, log)
        finally:
            if log is not None:
                os.close(log)

    def _popen(self, order: LaunchOrder, writer: int, log: int | None) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", _SHIM, str(writer), str(order.entrance or ""), *order.command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if log is None else log,
            stderr=subprocess.PIPE if log is None else log,
            bufsize=0,
            pass_fds=(writer,),
            cwd=order.bootstrap.work_dir,
            env=child_environment(self._environment, order.declared),
            start_new_session=True,
        )


def _open_log(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)


async def _connect(process: subprocess.Popen[bytes], reader: int, lines: LastLines, log_file: Path | None) -> Pipes:
    assert process.stdin
    loop = asyncio.get_running_loop()
    handshake = HandshakePipe()
    end, _ = await loop.connect_read_pipe(lambda: handshake, os.fdopen(reader, "rb", buffering=0))
    if log_file is not None:
        return Pipes(process.stdin, handshake, (LogTail(log_file, lines),), (end,))
    assert process.stdout
    assert process.stderr
    out, err = LogPipe("stdout", lines), LogPipe("stderr", lines)
    ends = (
        await loop.connect_read_pipe(lambda: out, process.stdout),
        await loop.connect_read_pipe(lambda: err, process.stderr),
    )
    return Pipes(process.stdin, handshake, (out, err), (end, *(transport for transport, _ in ends)))


def _write(process: subprocess.Popen[bytes], line: bytes) -> None:
    assert process.stdin
    try:
        # Shorter than a pipe's buffer, so that it never blocks.
        process.stdin.write(line)
    except BrokenPipeError:
        # It is dead already; its exit code tells more than this error.
        return
