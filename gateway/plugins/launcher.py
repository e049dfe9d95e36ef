"""Launches connectors' processes as `docs/protocol.md` describes it.

The environment is an allow-list, the session the process's own. Its stdin carries the bootstrap and is then the
lifeline; credentials are in neither argv nor environment. What runs on the SDK is forked from a template; everything
else is started as a program, with `shim.py` to bring the handshake's pipe to descriptor 3.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from gateway.plugins import shim
from gateway.plugins.environment import child_environment
from gateway.plugins.failures import StartFailed
from gateway.plugins.launch_order import LaunchOrder
from gateway.plugins.lines import LastLines
from gateway.plugins.model import ExitClass
from gateway.plugins.nursery import Nursery
from gateway.plugins.plumbing import Ends, Plumbing
from gateway.plugins.process import Birth, Child, Pipes
from gateway.plugins.spawned import Spawned

_SHIM = str(Path(shim.__file__).resolve())


class Launcher:
    """Launches processes with what the gateway's environment allows."""

    def __init__(self, environment: Mapping[str, str], nursery: Nursery | None = None) -> None:
        """Launch with this environment.

        Args:
            environment: The gateway's.
            nursery: Where connectors are forked; None = each is started as a program.

        """
        self._environment = environment
        self._nursery = nursery

    async def launch(self, order: LaunchOrder, lines: LastLines) -> Child:
        """Launch a process and hand it its bootstrap.

        Raises:
            StartFailed: The system cannot start another process.

        """
        try:
            while (child := await self._try(order, lines)) is None:
                pass
        except OSError as error:
            raise StartFailed(f"its process cannot be started: {error}", ExitClass.ERROR) from error
        return child

    async def close(self) -> None:
        """End what serves to launch; the processes that were launched live on."""
        if self._nursery is not None:
            await self._nursery.close()

    async def _try(self, order: LaunchOrder, lines: LastLines) -> Child | None:
        """Launch it; None = it was not forked, and is to be launched with other pipes, as nobody may share them."""
        with Plumbing(order.log_file) as plumbing:
            birth = await self._bear(order, plumbing.ends)
            if birth is None:
                return None
            plumbing.hand_over()
            try:
                pipes = await plumbing.connect(lines)
            except BaseException:
                # Nobody else knows of the process yet.
                birth.undo()
                raise
        child = Child(birth, pipes, lines)
        _write(pipes, order.bootstrap.line())
        return child

    async def _bear(self, order: LaunchOrder, ends: Ends) -> Birth | None:
        environment = child_environment(self._environment, order.declared)
        if self._nursery is not None and self._nursery.takes(order, environment):
            return await self._nursery.fork(order, environment, ends)
        return Spawned(_spawn(order, environment, ends))


def _spawn(order: LaunchOrder, environment: dict[str, str], ends: Ends) -> subprocess.Popen[bytes]:
    stdin, stdout, stderr, handshake = ends
    return subprocess.Popen(
        [sys.executable, "-I", "-S", _SHIM, str(handshake), str(order.entrance or ""), *order.command],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        pass_fds=(handshake,),
        cwd=order.bootstrap.work_dir,
        env=environment,
        start_new_session=True,
    )


def _write(pipes: Pipes, line: bytes) -> None:
    try:
        # Shorter than a pipe's buffer, so that it never blocks.
        pipes.stdin.write(line)
    except BrokenPipeError:
        # It is dead already; its exit code tells more than this error.
        return
