"""One generation of a connector: a process, the channel to it, and what is done with both.

It starts with launch, handshake, Describe and a health call that says SERVING. When and whether it ends is the
machine's decision; here is how each step is done. Its sockets are removed behind it.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from gateway.errors import ConnectorDown, GatewayError, Unsupported
from gateway.plugins.client import ADMIN_LIMIT, ConnectorClient
from gateway.plugins.contract import contract_digest
from gateway.plugins.events import StartStep, Vitals
from gateway.plugins.exits import Ending, classify, ending, signal_name
from gateway.plugins.failures import StartFailed, Stranger
from gateway.plugins.fences import Fence
from gateway.plugins.folders import Folders
from gateway.plugins.gauge import Gauge
from gateway.plugins.handshake import Bootstrap, read_handshake
from gateway.plugins.limits import Limits
from gateway.plugins.memory_kills import Group, evidence
from gateway.plugins.model import ExitClass
from gateway.plugins.process import Body

_PROBE_PAUSE = timedelta(milliseconds=20)
"""Between health calls while it starts: short against a start of 200 ms."""
_STACKS_PAUSE = timedelta(milliseconds=50)
"""Between two looks at a file of stacks: when it grew no more within that, it is whole."""
MAX_STACKS_BYTES = 256 * 1024
"""A process with hundreds of threads stays below."""


@dataclass(slots=True)
class Instance:
    """A process and the client that speaks to it."""

    generation: int
    child: Body
    client: ConnectorClient
    bootstrap: Bootstrap
    folders: Folders
    limits: Limits
    group: Group
    fence: Fence | None = None
    """The control group of its own that limits its memory."""
    gauge: Gauge = field(init=False)
    stacks: str = ""
    """Where it hung, when somebody asked."""
    out_of_memory: str = ""
    """What speaks for a death for want of memory."""
    _kills_before: int = 0
    _seen_messages: int = 0
    _is_killed: bool = False

    def __post_init__(self) -> None:
        self.gauge = Gauge(self.child.pid)
        self._kills_before = self.group.kills()

    async def open(self, reached: Callable[[StartStep], None], progressed: Callable[[], None]) -> None:
        """Bring the process to where it serves; whoever calls limits the time.

        Raises:
            StartFailed: It cannot be used; the process may still live.

        """
        try:
            handshake = read_handshake(await self._handshake(), self.bootstrap.socket)
            reached(StartStep.HANDSHAKED)
            if handshake.contract_digest not in ("", contract_digest()):
                # Additive changes are meant to work; where something odd happens, this is the first thing to know.
                self.child.lines.add("gateway", "it was built with another revision of the contract than this gateway")
            if handshake.health_address:
                self.client.health.ask_at(self.bootstrap.health_socket)
            self.client.description = await self.client.describe(self.limits.start_most)
            reached(StartStep.CONNECTED)
            while not (is_serving := await self.client.health.is_serving(self.limits.probe_timeout)):
                if is_serving is not None:
                    progressed()
                # Health has no event to wait for that every language's server offers.
                await asyncio.sleep(_PROBE_PAUSE.total_seconds())
        except StartFailed:
            raise
        except (Stranger, Unsupported) as error:
            raise StartFailed(str(error), ExitClass.PROTOCOL_MISMATCH) from error
        except GatewayError as error:
            raise StartFailed(f"its first call failed: {error}", ExitClass.ERROR) from error

    async def probe(self) -> tuple[bool, Vitals]:
        """Make a health call, and measure."""
        is_serving = bool(await self.client.health.is_serving(self.limits.probe_timeout))
        is_computing = self.gauge.sample()
        moved = self.client.activity.messages - self._seen_messages
        self._seen_messages += moved
        self.client.troubles.expire()
        return is_serving, Vitals(
            is_computing=is_computing,
            is_streaming=moved > 0,
            idle_seconds=self.client.activity.idle_seconds(),
            memory_bytes=self.gauge.memory_bytes,
        )

    async def until_gone(self) -> None:
        """Wait until an author's process has ended: a debugger may hold it, so only a socket that is gone counts."""
        while self.bootstrap.socket.exists():  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(self.limits.probe_interval.total_seconds())

    async def until_away(self) -> None:
        """Make health calls to a process elsewhere until several in a row have failed.

        Raises:
            ConnectorDown: They have.

        """
        missed = 0
        while missed < self.limits.probe_failures:
            await asyncio.sleep(self.limits.probe_interval.total_seconds())
            is_serving = await self.client.health.is_serving(self.limits.probe_timeout)
            missed = 0 if is_serving else missed + 1
        raise ConnectorDown(f"it answered none of {missed} health calls")

    async def dump_stacks(self) -> None:
        """Have the process write all threads' stacks, and read them."""
        path, size = self.bootstrap.stacks_path, -1
        self.child.signal_alone(signal.SIGUSR1)
        while not self.child.exited.is_set():
            await asyncio.sleep(_STACKS_PAUSE.total_seconds())
            before, size = size, path.stat().st_size if path.exists() else 0
            if size and size == before:
                break
        if path.exists():
            self.stacks = path.read_bytes()[:MAX_STACKS_BYTES].decode("utf-8", "replace")

    async def shut_down(self) -> None:
        """Ask the process to finish what is under way and to end.

        Raises:
            GatewayError: It did not take it.

        """
        await self.client.shutdown(max(self.limits.drain, min(ADMIN_LIMIT, timedelta(seconds=1))))

    def send(self, number: signal.Signals) -> None:
        """Signal the process's group."""
        self._is_killed = self._is_killed or number is signal.SIGKILL
        self.child.signal_group(number)

    async def bury(self) -> Ending:
        """Close all that connected the gateway with the process, and say why it ended by itself."""
        await self.client.close()
        end = await self._autopsy()
        await self.child.close()
        self.child.lines.end()
        self.folders.clear(self.bootstrap.instance_id, self.generation)
        self.bootstrap.stacks_path.unlink(missing_ok=True)
        if self.fence is not None:
            self.fence.remove()
        return end

    async def _autopsy(self) -> Ending:
        await self.child.last_words(self.limits.last_words)
        code = self.child.returncode
        line = await self.child.handshake(self.limits.last_words)
        if line:
            try:
                read_handshake(line, self.bootstrap.socket)
            except StartFailed as error:
                # A connector that wants to be tried again says so by its exit code.
                exit_class = classify(code) if classify(code) is ExitClass.TEMPORARY else error.exit_class
                return ending(exit_class, str(error), code)
        if code is None:
            return ending(ExitClass.ERROR, "its process ended; how, only its parent knew, which was gone", None)
        how = f"exited with code {code}" if code >= 0 else f"was ended by {signal_name(code)}"
        when = "" if line else " before its handshake"
        if self._starved():
            return ending(ExitClass.OOM, f"its process ran out of memory: {self.out_of_memory}", code)
        return ending(classify(code), f"its process {how}{when}", code)

    def _starved(self) -> bool:
        if self.child.returncode == -signal.SIGKILL and not self._is_killed:
            limits = (self.bootstrap.memory_limit_bytes, self.group.limit_bytes)
            self.out_of_memory = evidence(self._kills_before, self.group.kills(), self.gauge.memory_bytes, limits)
        elif self.bootstrap.memory_limit_bytes and self.child.returncode:
            # Under a limit of its own a process is not killed: it gets no memory, says so and ends.
            said = [line for line in self.child.lines.snapshot()[-3:] if "MemoryError" in line]
            self.out_of_memory = "; ".join(said)
        return bool(self.out_of_memory)

    async def _handshake(self) -> bytes:
        line = await self.child.handshake(self.limits.start_most)
        if line:
            return line
        await self.child.gone(self.limits.last_words)
        raise StartFailed("its process ended or closed descriptor 3 before its handshake", ExitClass.ERROR)
