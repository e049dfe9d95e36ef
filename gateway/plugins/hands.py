"""Does what the machine decides for one connector, and reports what comes of it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from signal import SIGKILL
from typing import assert_never

import structlog

from gateway.errors import GatewayError
from gateway.plugins import decisions as do
from gateway.plugins import events as on
from gateway.plugins.closure import compare, digest_of
from gateway.plugins.deaths import Deaths, Evidence
from gateway.plugins.exits import Ending, ending
from gateway.plugins.failures import StartFailed
from gateway.plugins.incubator import Incubator
from gateway.plugins.instance import Instance
from gateway.plugins.leftovers import Found, take_over
from gateway.plugins.limits import Limits
from gateway.plugins.model import ExitClass
from gateway.plugins.owner import with_settings
from gateway.plugins.spec import Integrity
from gateway.plugins.standing import Standing

log: structlog.typing.FilteringBoundLogger = structlog.get_logger("gateway.connectors")

_OfInstance = do.Open | do.Probe | do.DumpStacks | do.AskShutdown | do.Bury

_ATTACH_PAUSE = timedelta(seconds=1)
"""Between two tries to reach a process that its author starts."""

_BUG = Ending(exit_class=ExitClass.ERROR, message="the gateway has a bug; see its log")


class Hands:
    """Owns one connector's process and the tasks around it."""

    def __init__(
        self,
        standing: Standing,
        incubator: Incubator,
        slots: asyncio.Semaphore,
        has_jobs: Callable[[str], bool],
        take: Callable[[on.Event], None],
        deaths: Deaths,
    ) -> None:
        self.instance: Instance | None = None
        self.limits: Limits = incubator.limits
        self._standing = standing
        self._incubator = incubator
        self._slots = slots
        self._has_jobs = has_jobs
        self._take = take
        self._deaths = deaths
        self._tasks: set[asyncio.Task[None]] = set()
        self._verifying: asyncio.Task[None] | None = None
        self._launching: asyncio.Task[None] | None = None
        self._has_turn = False
        self._evidence = Evidence()

    def do(self, decision: do.Decision) -> None:  # noqa: C901 - one case a decision
        """Do it, or begin to."""
        match decision:
            case do.Verify():
                if self._verifying is not None:
                    self._verifying.cancel()
                self._verifying = self._begin(self._verify())
            case do.Launch():
                self._launching = self._begin(self._launch(decision.generation))
            case do.Abandon():
                if self._launching is not None:
                    self._launching.cancel()
            case do.Record():
                self._deaths.record(decision, replace(self._evidence, digest=self._standing.digest))
                self._standing.last_cause = self._deaths.last_cause()
            case do.Adopt():
                self._begin(self._adopt(decision.generation))
            case do.Forget():
                folders = self._incubator.folders
                folders.state_file(self._standing.spec.id, decision.generation).unlink(missing_ok=True)
            case do.Attach():
                self._begin(self._attach(decision.generation))
            case do.Open() | do.Probe() | do.DumpStacks() | do.AskShutdown() | do.Bury():
                if (instance := self.instance) is not None:
                    self._begin(self._work(instance, decision))
            case do.CutLifeline():
                if self.instance is not None:
                    self.instance.child.cut_lifeline()
            case do.SendSignal():
                if self.instance is not None:
                    self.instance.send(decision.number)
            case _:
                assert_never(decision)

    def end_turn(self) -> None:
        """Let the next connector start."""
        if self._has_turn:
            self._has_turn = False
            self._slots.release()

    async def close(self) -> None:
        """End all tasks, and the process if there is still one."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.end_turn()
        if (instance := self.instance) is not None:
            instance.send(SIGKILL)
            await instance.child.gone(self.limits.kill)
            await instance.bury()
            self._standing.pid, self.instance = 0, None

    def _begin(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guarded(self, work: Coroutine[object, object, None]) -> None:
        try:
            await work
        except Exception:
            # A bug here must not leave the connector without anybody who looks after it: its deadline goes on.
            with suppress(OSError):
                log.exception("supervision failed", connector=self._standing.spec.id)

    async def _verify(self) -> None:
        spec = self._standing.spec
        is_strict = (spec.settings.integrity or self._incubator.integrity) is Integrity.STRICT
        try:
            self._standing.digest = await asyncio.to_thread(digest_of, spec)
            if is_strict:
                compare(self._incubator.folders.pin_file(spec.id), self._standing.digest)
        except StartFailed as error:
            self._take(on.Unverified(ending(error.exit_class, str(error), None)))
        else:
            self._take(on.Verified())

    async def _launch(self, generation: int) -> None:
        try:
            await self._slots.acquire()
            self._has_turn = True
            instance = await self._incubator.launch(self._standing.spec, generation, self._on_trouble(generation))
        except StartFailed as error:
            self._take(on.NotLaunched(generation, ending(error.exit_class, str(error), None)))
        except BaseException:
            self._take(on.NotLaunched(generation, _BUG))
            raise
        else:
            self._incubator.keep(instance, self._standing.digest)
            self._possess(instance)
            self._take(on.Launched(generation))

    async def _adopt(self, generation: int) -> None:
        spec, found = self._standing.spec, Found(None, "the gateway has a bug; see its log")
        try:
            self._standing.digest = await asyncio.to_thread(digest_of, spec)
            found = await take_over(
                self._incubator, spec, self._standing.digest, generation, self._on_trouble(generation)
            )
        except StartFailed as error:
            found = Found(None, str(error))
        finally:
            if found.instance is not None:
                self._possess(found.instance)
            if found.instance is not None and not found.problem:
                self._describe(found.instance)
                self._take(on.Adopted(generation))
            else:
                self._take(on.Unadoptable(generation, found.instance is not None, found.problem))

    async def _attach(self, generation: int) -> None:
        try:
            instance = self._incubator.attach(self._standing.spec, generation, self._on_trouble(generation))
        except StartFailed as error:
            self._take(on.Refused(generation, ending(error.exit_class, str(error), None)))
            return
        self.instance, elsewhere = instance, self._standing.spec.settings.elsewhere
        while self.instance is instance:
            why = ""
            try:
                instance.client.description = await instance.client.describe(instance.limits.probe_interval)
                self._describe(instance)
                self._take(on.Opened(generation))
                await (instance.until_away() if elsewhere else instance.until_gone())
            except GatewayError as error:
                why = str(error)
            self._take(
                on.Progressed(generation, (elsewhere and f"cannot be reached at {elsewhere.address}: {why}") or "")
            )
            await asyncio.sleep(_ATTACH_PAUSE.total_seconds() * random.uniform(0.75, 1.25))

    def _on_trouble(self, generation: int) -> Callable[[str], None]:
        return lambda words: self._take(on.HealthChanged(generation, words))

    def _describe(self, instance: Instance) -> None:
        client = instance.client
        client.description = with_settings(client.description, self._standing.spec.settings)
        self._standing.description = client.description

    def _possess(self, instance: Instance) -> None:
        self.instance = instance
        self._standing.pid = instance.child.pid
        self._begin(self._await_end(instance))

    async def _await_end(self, instance: Instance) -> None:
        await instance.child.exited.wait()
        self._take(on.Exited(instance.generation))

    async def _work(self, instance: Instance, decision: _OfInstance) -> None:
        match decision:
            case do.Open():
                await self._open(instance)
            case do.Probe():
                is_serving, vitals = await instance.probe()
                if self._has_jobs(self._standing.spec.id):
                    vitals = replace(vitals, idle_seconds=0.0)
                self._take(on.ProbeAnswered(instance.generation, is_serving, vitals))
            case do.DumpStacks():
                await instance.dump_stacks()
                self._take(on.StacksSaved(instance.generation))
            case do.AskShutdown():
                try:
                    await instance.shut_down()
                except GatewayError:
                    self._take(on.ShutdownRefused(instance.generation))
            case do.Bury():
                await self._bury(instance)

    async def _open(self, instance: Instance) -> None:
        number = instance.generation
        try:
            await instance.open(
                lambda step: self._take(on.Reached(number, step)), lambda: self._take(on.Progressed(number))
            )
        except StartFailed as error:
            self._take(on.Refused(number, ending(error.exit_class, str(error), instance.child.returncode)))
            return
        self._describe(instance)
        # The first measurement was of a process that had not become its program yet.
        instance.gauge.sample()
        self._take(on.Opened(number))

    async def _bury(self, instance: Instance) -> None:
        end = await instance.bury()
        self._evidence = Evidence(
            last_lines=instance.child.lines.snapshot(),
            calls=instance.client.activity.calls(),
            memory=instance.gauge.curve(),
            stacks=instance.stacks,
            out_of_memory=instance.out_of_memory,
        )
        if self.instance is instance:
            self.instance, self._standing.pid = None, 0
        self._take(on.Buried(instance.generation, end))
