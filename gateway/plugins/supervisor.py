"""Keeps one connector running: hands what happens to `machine.step`, and its decisions to `Hands`."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import structlog

from gateway.errors import ConnectorDown
from gateway.plugins import events as on
from gateway.plugins.client import ConnectorClient
from gateway.plugins.condition import Condition, Hold
from gateway.plugins.hands import Hands
from gateway.plugins.incubator import Incubator
from gateway.plugins.limits import Limits
from gateway.plugins.lineage import Lineage
from gateway.plugins.machine import step
from gateway.plugins.model import ConnectorState
from gateway.plugins.spec import ConnectorSpec
from gateway.plugins.standing import DEAD_ENDS, Standing

log: structlog.typing.FilteringBoundLogger = structlog.get_logger("gateway.connectors")

_NO_SUCCESS = DEAD_ENDS | {ConnectorState.BACKOFF, ConnectorState.STOPPED}
"""States of a version that did not come to serve with its first process."""
SETTLE = timedelta(seconds=1)
"""How long a process that just failed a call is not trusted: its end is noticed in far less."""
_AFTER_A_BUG = 1.0
"""Seconds until a step that failed is tried again."""


class Supervisor:
    """Looks after one connector."""

    def __init__(
        self,
        standing: Standing,
        lineage: Lineage,
        incubator: Incubator,
        slots: asyncio.Semaphore,
        has_jobs: Callable[[str], bool] = lambda connector_id: False,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.standing = standing
        self.lineage = lineage
        standing.last_cause = lineage.deaths.last_cause()
        self._incubator = incubator
        self._hands = Hands(standing, incubator, slots, has_jobs, self._take, lineage.deaths)
        self._now = now
        self._condition = Condition()
        self._waiting: deque[on.Event] = deque()
        self._is_stepping = False
        self._timer: asyncio.TimerHandle | None = None
        self._rung_at: float | None = None
        self._over = asyncio.Event()
        self._last_lines: Callable[[], tuple[str, ...]] = tuple

    def start(self, *, is_disabled: bool) -> None:
        """Begin to look after the connector; its process starts when it is needed."""
        spec, folders = self.standing.spec, self._incubator.folders
        folders.sweep(spec.id)
        self._take(
            on.Began(
                is_disabled=is_disabled,
                problem=spec.problem,
                generation=self.lineage.last_number,
                has_leftover=bool(folders.state_files(spec.id)),
                is_attached=spec.is_attached,
            )
        )

    async def start_beside(self) -> str:
        """Start a process beside that of another version; returns why it cannot serve, empty = it does."""
        spec = self.standing.spec
        self._take(on.Began(problem=spec.problem, generation=self.lineage.last_number))
        self._take(on.Needed())
        # Every state on the way has its deadline.
        while self.serving() is None and self.standing.state not in _NO_SUCCESS:
            await self.standing.change(SETTLE)
        return "" if self.serving() else self.standing.message or f"it is {self.standing.state}"

    async def stop(self, budget: timedelta) -> None:
        """End the process and the supervision; what is left after the budget is killed."""
        self._take(on.Stopped(on.Wish.END))
        with suppress(TimeoutError):
            async with asyncio.timeout(budget.total_seconds()):
                await self._over.wait()
        if self._timer is not None:
            self._timer.cancel()
        await self._hands.close()

    def enable(self) -> None:
        """Let the connector run again; it starts when it is needed."""
        self._take(on.Enabled())

    async def disable(self) -> None:
        """Stop the process and keep it stopped."""
        self._take(on.Stopped(on.Wish.OFF))
        while self.standing.state is not ConnectorState.DISABLED and self._condition.wish is on.Wish.OFF:
            await self.standing.change(SETTLE)

    def restart(self, spec: ConnectorSpec) -> int:
        """Stop the process in order and start another; forgets all deaths.

        Returns:
            The generation that ends; `ready` with `newer_than` waits for the next.

        Raises:
            ConnectorDown: It is switched off, or its files are broken now.

        """
        if self._condition.wish is on.Wish.OFF:
            raise ConnectorDown(f"connector {spec.id!r} is switched off; `peftstudio connectors enable {spec.id}`")
        if spec.problem and self.serving():
            raise ConnectorDown(f"connector {spec.id!r} keeps its present process: {spec.problem}")
        generation = self._condition.generation
        self.standing.spec = spec
        self._take(on.Restarted(spec.problem))
        return generation

    def change(self, spec: ConnectorSpec) -> None:
        """Go on with other files; a process that is there is ended first."""
        self.standing.spec = spec
        self._take(on.Changed(spec.problem, spec.is_attached))

    def keep(self, spec: ConnectorSpec, why: str) -> None:
        """Let the present process serve on, because it cannot be exchanged for one of the changed files."""
        self.standing.spec = spec
        self._take(on.Kept(spec.problem))
        self.standing.note_reload(f"process {self.standing.generation} keeps serving with the files of before: {why}")

    def last_lines(self) -> tuple[str, ...]:
        """Return the last lines that the present process printed, or the last one where there is none."""
        return self._last_lines()

    @property
    def is_switched_off(self) -> bool:
        """Whether an operator does not want a process."""
        return self._condition.wish is on.Wish.OFF

    def serving(self) -> ConnectorClient | None:
        """Return the client of the process where it serves."""
        instance = self._hands.instance
        return instance.client if instance and self._condition.is_serving else None

    async def ready(self, limit: timedelta, newer_than: int = 0) -> ConnectorClient:
        """Start the process where it rests, and wait until it serves.

        Args:
            limit: How long to wait.
            newer_than: Generation that failed a call: another is waited for, or this one is given a moment.

        Raises:
            ConnectorDown: It is switched off, failed too often, cannot run, or the time is over.

        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + limit.total_seconds()
        settled = loop.time() + SETTLE.total_seconds()
        while (left := deadline - loop.time()) > 0:
            client = self.serving()
            if client and (client.generation > newer_than or loop.time() >= settled):
                return client
            if self._condition.wish is on.Wish.REST:
                self._take(on.Needed())
            is_away = self.standing.state is ConnectorState.ATTACHED and self._condition.trouble
            if self.standing.state in DEAD_ENDS or is_away or self._condition.wish is on.Wish.END:
                break
            await self.standing.change(min(timedelta(seconds=left), SETTLE))
        raise self._down()

    def _take(self, event: on.Event) -> None:
        """Let an event have its effect, behind those that are being dealt with."""
        self._waiting.append(event)
        if self._is_stepping:
            return
        self._is_stepping = True
        try:
            while self._waiting:
                self._step(self._waiting.popleft())
        finally:
            self._is_stepping = False
        self._set_timer()

    def _step(self, event: on.Event) -> None:
        before = self._condition
        now = asyncio.get_running_loop().time()
        try:
            self._condition, decided = step(
                before,
                event,
                limits=self._limits(),
                now=now,
                # The spread of starts has no need of a good die.
                chance=random.random(),
                number=self.lineage.last_number + 1,
            )
        except Exception:
            # A bug must not leave the connector without anybody who looks after it.
            with suppress(OSError):
                log.exception("supervision failed", connector=self.standing.spec.id)
            return
        self.lineage.last_number = max(self.lineage.last_number, self._condition.generation)
        if self._hands.instance is not None:
            self._last_lines = self._hands.instance.child.lines.snapshot
        self._tell(before)
        for decision in decided:
            self._hands.do(decision)
        if self._condition.state is not ConnectorState.STARTING:
            self._hands.end_turn()
        if self._condition.wish is on.Wish.END and self._condition.hold is Hold.NONE:
            self._over.set()

    def _tell(self, before: Condition) -> None:
        known, standing = self._condition, self.standing
        standing.restarts = known.restarts
        if known.has_run:
            standing.generation = known.generation
        if (known.state, known.message, known.next_start) != (before.state, before.message, before.next_start):
            wait = None if known.next_start is None else known.next_start - asyncio.get_running_loop().time()
            standing.move(known.state, known.message, None if wait is None else self._now() + timedelta(seconds=wait))

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._condition.deadline is not None and not self._over.is_set():
            loop = asyncio.get_running_loop()
            # One that is over already was of no effect: a bug, which must not spin.
            at = self._condition.deadline
            self._timer = loop.call_at(
                at if at > loop.time() else loop.time() + _AFTER_A_BUG, self._take, on.TimePassed()
            )

    def _limits(self) -> Limits:
        return self.standing.spec.overrides.apply(self._incubator.limits)

    def _down(self) -> ConnectorDown:
        # A process that has just started again has not printed yet; the one before said what is wrong.
        lines = self.last_lines() or self.lineage.deaths.last_lines()
        return self.standing.refusal(lines, is_ending=self._condition.wish is on.Wish.END)
