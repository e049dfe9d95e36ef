"""One template: a process with the SDK imported, which forks connectors.

It ends with its socket, and its connectors live on. While it lives, those of them that have ended are its zombies, so
that their numbers are nobody else's until their exit codes are known; when it is gone, the system collects them.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import IO, Self

import structlog

from gateway.plugins.exit_watch import ExitWatch
from gateway.plugins.forked import Forked
from gateway.plugins.launch_order import LaunchOrder
from gateway.plugins.lines import LastLines
from gateway.plugins.pipes import LogPipe
from gateway.plugins.plumbing import Ends
from gateway.plugins.template_socket import Answer, TemplateSocket

log: structlog.typing.FilteringBoundLogger = structlog.get_logger("gateway.connectors")

VERSION = 1
"""Of what is spoken with a template."""
COMMAND = (sys.executable, "-m", "connector_sdk")
WARM_LIMIT = timedelta(seconds=5)
"""For its imports, which take a quarter of a second, and on a loaded machine as long as those of a connector."""
FORK_LIMIT = timedelta(seconds=2)
"""For a fork, which takes milliseconds."""
REAP_LIMIT = timedelta(seconds=2)
"""For an exit code, which is there already; the next start waits for it."""
END_LIMIT = timedelta(seconds=1)
"""For its end once its socket is closed."""
_NAME_BYTES = 15
"""The kernel keeps no more of a process's name."""


class Unfit(Exception):
    """Raised when a template forks nothing; says why."""


class Template:
    """A template, from its start to its end."""

    def __init__(self, key: str, process: subprocess.Popen[bytes], end: socket.socket) -> None:
        """Look after a template that was just started; see `start`."""
        self.key = key
        self.is_fit = True
        """Whether it is to fork more."""
        self.has_forked = False
        self.has_ended = asyncio.Event()
        self._children: set[int] = set()
        self._orders = 0
        """Forks under way."""
        self._loop = asyncio.get_running_loop()
        self._warm_until = self._loop.time() + WARM_LIMIT.total_seconds()
        self._process = process
        self._errors: asyncio.BaseTransport | None = None
        self._socket = TemplateSocket(end, self.kill)
        self._watch = ExitWatch(process.pid, lambda: process.poll() is not None, self._on_exit)

    @classmethod
    async def start(cls, key: str, environment: Mapping[str, str]) -> Self:
        """Start one.

        Args:
            key: Of all that it will import.
            environment: Its own.

        Raises:
            OSError: The system cannot start it.

        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                process = _start(theirs, environment)
            except BaseException:
                ours.close()
                raise
        template = cls(key, process, ours)
        lines = LastLines(_hear)
        assert process.stderr
        try:
            template._errors, _ = await template._loop.connect_read_pipe(
                lambda: LogPipe("stderr", lines), process.stderr
            )
        except BaseException:
            template.kill()
            raise
        return template

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    async def fork(self, order: LaunchOrder, environment: Mapping[str, str], ends: Ends) -> Forked:
        """Have a connector forked.

        Raises:
            Unfit: It cannot, or takes too long; nothing that could do anything was forked.

        """
        self._orders += 1
        try:
            await self._warm()
            found = await self._ask(order, environment, ends)
            if not found.pid:
                raise Unfit(found.error)
            self.has_forked = True
            self._children.add(found.pid)
            return Forked(found.pid, self)
        finally:
            self._orders -= 1
            self._rest()

    def reap(self, pid: int, tell: Callable[[int | None], None]) -> None:
        """Collect a process that has ended, and tell its exit code; None = nobody knows it any more."""
        try:
            answer = self._socket.ask({"reap": pid})
        except OSError:
            self._forget(pid)
            tell(_inherited(pid))
            return
        # The end of a template is an answer to all that it was asked.
        timer = self._loop.call_later(REAP_LIMIT.total_seconds(), self.kill)

        def take(answer: asyncio.Future[Answer]) -> None:
            timer.cancel()
            self._forget(pid)
            status = answer.result().status
            tell(_inherited(pid) if status is None else status)

        answer.add_done_callback(take)

    def retire(self) -> None:
        """Fork nothing more, and end once nobody's exit code is to be told."""
        self.is_fit = False
        self._rest()

    def kill(self) -> None:
        """End it at once."""
        self.is_fit = False
        if not self.has_ended.is_set():
            self._process.kill()

    async def close(self) -> None:
        """End it."""
        self.is_fit = False
        self._socket.close()
        for limit in (END_LIMIT, END_LIMIT):
            with suppress(TimeoutError):
                async with asyncio.timeout(limit.total_seconds()):
                    await self.has_ended.wait()
            self.kill()
        if self._errors is not None:
            self._errors.close()

    async def _warm(self) -> None:
        left = self._warm_until - self._loop.time()
        try:
            async with asyncio.timeout(max(left, 0.0)):
                hello = await asyncio.shield(self._socket.hello)
        except TimeoutError as error:
            self.kill()
            raise Unfit(f"it was not ready within {WARM_LIMIT.total_seconds():g} s") from error
        if hello.template != VERSION:
            raise Unfit(hello.error or f"it speaks version {hello.template}, and this gateway {VERSION}")

    async def _ask(self, order: LaunchOrder, environment: Mapping[str, str], ends: Ends) -> Answer:
        try:
            with _written(order, environment) as file:
                answer = self._socket.ask({"fork": True}, (*ends, file.fileno()))
        except OSError as error:
            raise Unfit(f"it takes no order: {error}") from error
        try:
            async with asyncio.timeout(FORK_LIMIT.total_seconds()):
                return await asyncio.shield(answer)
        except BaseException as error:
            # Without its bootstrap a process does nothing, and ends with its stdin.
            answer.add_done_callback(self._disown)
            if isinstance(error, TimeoutError):
                self.kill()
                raise Unfit(f"it forked nothing within {FORK_LIMIT.total_seconds():g} s") from error
            raise

    def _disown(self, answer: asyncio.Future[Answer]) -> None:
        if pid := answer.result().pid:
            Forked(pid, self).undo()

    def _forget(self, pid: int) -> None:
        self._children.discard(pid)
        self._rest()

    def _rest(self) -> None:
        """End where nothing is to be forked and nobody's exit code to be told any more."""
        if not (self.is_fit or self._children or self._orders):
            self._socket.close()
            self._loop.call_later(END_LIMIT.total_seconds(), self.kill)

    def _on_exit(self) -> None:
        self._process.wait()
        self.has_ended.set()
        self.is_fit = False
        self._socket.close()


def _start(theirs: socket.socket, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, "template"],
        stdin=theirs.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        bufsize=0,
        cwd="/",
        env=dict(environment),
        start_new_session=True,
    )


def _hear(stream: str, line: str) -> None:
    log.warning("template said", line=line)


def _written(order: LaunchOrder, environment: Mapping[str, str]) -> IO[bytes]:
    """Write an order into memory that only the new process will read, and not the template."""
    content = {
        "name": f"peft-{order.bootstrap.instance_id}"[:_NAME_BYTES],
        "arguments": order.command[len(COMMAND) :],
        "environment": dict(environment),
        "work_dir": str(order.bootstrap.work_dir),
        "entrance": str(order.entrance or ""),
    }
    file = os.fdopen(os.memfd_create("order"), "w+b", buffering=0)
    file.write(json.dumps(content).encode())
    file.seek(0)
    return file


def _inherited(pid: int) -> int | None:
    """Collect a process whose template is gone, in case that the gateway inherited it as the first of a container."""
    with suppress(ChildProcessError):
        found, status = os.waitpid(pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if found else None
    return None
