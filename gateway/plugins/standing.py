"""How a connector stands: its state and what is told of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta

from gateway.errors import ConnectorDown
from gateway.plugins.condition import SERVING
from gateway.plugins.gauge import measure
from gateway.plugins.model import ConnectorState, ConnectorStatus, Description
from gateway.plugins.spec import ConnectorSpec

DEAD_ENDS = frozenset({ConnectorState.FAILED, ConnectorState.QUARANTINED, ConnectorState.DISABLED})
"""States that do not end by themselves soon: whoever needs the connector is told at once."""
_QUOTED_CHARS = 200
"""What an error quotes of the last line; the whole story is for `connectors diagnose`."""


class Standing:
    """The present state of one connector; tells of each change."""

    def __init__(
        self, spec: ConnectorSpec, now: Callable[[], datetime], on_change: Callable[[ConnectorStatus], None]
    ) -> None:
        self.spec = spec
        self.state = ConnectorState.DISCOVERED
        self.message = ""
        self.next_attempt_at: datetime | None = None
        self.restarts = 0
        self.generation = 0
        self.pid = 0
        self.digest = ""
        self.last_cause = ""
        self.reload = ""
        self.description: Description | None = None
        self._now = now
        self._since = now()
        self._on_change = on_change
        self._changed = asyncio.Event()

    def move(self, state: ConnectorState, message: str = "", next_attempt_at: datetime | None = None) -> None:
        """Go into a state and tell everybody."""
        if state is not self.state:
            self._since = self._now()
        self.state, self.message, self.next_attempt_at = state, message, next_attempt_at
        self._changed.set()
        self._changed = asyncio.Event()
        self._on_change(self.status())

    def note_reload(self, words: str) -> None:
        """Tell what became of a change of its files."""
        self.reload = words
        self._on_change(self.status())

    async def change(self, limit: timedelta) -> None:
        """Wait for the next change, or until the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit.total_seconds()):
                await self._changed.wait()

    def refusal(self, last_lines: tuple[str, ...], *, is_ending: bool) -> ConnectorDown:
        """Return the error for whoever needs the connector and cannot have it."""
        connector = self.spec.id
        if is_ending:
            return ConnectorDown(f"connector {connector!r} is not started: the gateway is being stopped")
        message = f"connector {connector!r} is {self.state}"
        if self.message:
            message += f": {self.message.rstrip('.')}"
        if self.next_attempt_at is not None:
            message += f"; it is tried again at {self.next_attempt_at:%H:%M:%S} UTC"
        if (last := _last_words(last_lines)) and last not in self.message and self.state not in SERVING:
            message += f"; it printed last: {last}"
        message += f"; `peftstudio connectors diagnose {connector}` shows more"
        return ConnectorDown(message, metadata={"connector": connector, "state": self.state})

    def status(self) -> ConnectorStatus:
        """Return what can be told now."""
        memory, cpu = measure(self.pid) or (0, 0.0)
        description = self.description
        return ConnectorStatus(
            id=self.spec.id,
            display_name=(description and description.display_name) or self.spec.display_name or self.spec.id,
            origin=self.spec.origin,
            state=self.state,
            state_since=self._since,
            message=self.message,
            restarts=self.restarts,
            next_attempt_at=self.next_attempt_at,
            generation=self.generation,
            pid=self.pid,
            memory_bytes=memory,
            cpu_seconds=cpu,
            digest=self.digest,
            last_cause=self.last_cause,
            reload=self.reload,
            description=description,
        )


def _last_words(lines: tuple[str, ...]) -> str:
    """Return the last thing that was printed; of a traceback in one line that is the exception."""
    return lines[-1].rpartition("\\n")[2].strip()[:_QUOTED_CHARS] if lines else ""
