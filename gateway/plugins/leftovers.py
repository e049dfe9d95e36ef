"""Finds out what became of a process that an earlier gateway left, and takes it over where it proves itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from signal import SIGKILL

from gateway.errors import GatewayError
from gateway.plugins.incubator import Incubator
from gateway.plugins.instance import Instance
from gateway.plugins.limits import HostLoss
from gateway.plugins.spec import ConnectorSpec
from gateway.plugins.state_file import State, read_state

CONNECT_LIMIT = timedelta(seconds=2)
"""For the first answer: the socket is local, and the process has nothing else to do."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was left."""

    instance: Instance | None
    """The process, if there is one and it is the one that was launched; otherwise nothing may be signalled."""
    problem: str
    """Why it cannot be taken over; empty = it was."""


async def take_over(
    incubator: Incubator, spec: ConnectorSpec, digest: str, generation: int, on_trouble: Callable[[str], None]
) -> Found:
    """Prove who it is by number, start time and boot, then by the tokens both ways, and hold its new lifeline."""
    latest = incubator.folders.state_file(spec.id, generation)
    for path in incubator.folders.state_files(spec.id):
        if path != latest:
            await _end_other(read_state(path), incubator, spec)
            path.unlink(missing_ok=True)
    state = read_state(latest)
    if state is None:
        return Found(None, "the word of an earlier gateway cannot be read")
    if not state.identity.is_alive():
        return Found(None, "its process has ended meanwhile")
    instance = incubator.adopt(spec, generation, state, on_trouble)
    return Found(instance, _mismatch(spec, incubator, state, digest) or await _greet(instance))


async def _end_other(state: State | None, incubator: Incubator, spec: ConnectorSpec) -> None:
    """End a process that is not the last one: its gateway was killed while it exchanged one for another."""
    if state is not None and state.identity.is_alive():
        instance = incubator.adopt(spec, state.generation, state, lambda words: None)
        instance.send(SIGKILL)
        await instance.child.gone(instance.limits.kill)
        await instance.bury()


def _mismatch(spec: ConnectorSpec, incubator: Incubator, state: State, digest: str) -> str:
    if spec.problem:
        return spec.problem
    if spec.overrides.apply(incubator.limits).host_loss is not HostLoss.LINGER:
        return "it is not to outlive its gateway any more"
    if state.digest != digest:
        return "its files, libraries or interpreter changed meanwhile"
    return ""


async def _greet(instance: Instance) -> str:
    try:
        async with asyncio.timeout(instance.limits.adopt.total_seconds() / 2):
            instance.client.description = await instance.client.describe(CONNECT_LIMIT)
            if not await instance.client.health.is_serving(CONNECT_LIMIT):
                return "it does not say that it is healthy"
    except TimeoutError:
        return "it did not answer in time"
    except GatewayError as error:
        return f"it did not prove itself: {error}"
    instance.client.health.hold()
    return ""
