"""When a connector that died is started again.

After each death it waits 0.25 s, doubled each time up to 60 s, ± 25 % so that many connectors do not start at once.
Being ready for 60 s puts the wait back to its beginning, and for 10 minutes makes all deaths forgotten. Five counted
deaths within 10 minutes open the breaker: then one start is tried after 5 min, 15 min, and then every hour, because an
outage at a vendor ends without anybody telling us. In no 10 minutes there are more than seven starts, whatever the
deaths were like. Nothing here looks at a clock or rolls a die by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType

from gateway.plugins.model import ExitClass

_WEIGHTS: Mapping[ExitClass, float] = MappingProxyType({ExitClass.CLEAN: 0.5})
"""What a death counts towards the breaker where that is not 1: an exit with code 0 may be somebody's wish."""


class Wait(StrEnum):
    """What kind of wait follows a death."""

    BACKOFF = "BACKOFF"
    BREAKER = "BREAKER"


@dataclass(frozen=True, slots=True)
class Pause:
    """What follows a death."""

    wait: Wait
    delay: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """The numbers of this module's description."""

    first: timedelta = timedelta(seconds=0.25)
    factor: float = 2.0
    cap: timedelta = timedelta(seconds=60)
    jitter: float = 0.25
    stable: timedelta = timedelta(seconds=60)
    full_reset: timedelta = timedelta(minutes=10)
    breaker_deaths: float = 5.0
    window: timedelta = timedelta(minutes=10)
    starts_per_window: int = 7
    half_open: tuple[timedelta, ...] = (timedelta(minutes=5), timedelta(minutes=15), timedelta(minutes=60))
    free_temporary: int = 3
    """Exits that asked to be tried again which do not count; after these they do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What happened to one connector's processes, as far as it decides what follows."""

    step: int = 0
    trials: int = 0
    temporary: int = 0
    is_open: bool = False
    """Whether the breaker is open."""
    ready_at: float | None = None
    deaths: tuple[tuple[float, float], ...] = ()
    """When, and what it counts."""
    starts: tuple[float, ...] = ()

    def started(self, now: float) -> History:
        """Note that a process was launched."""
        return replace(self, starts=(*self.starts, now), ready_at=None)

    def ready(self, now: float) -> History:
        """Note that the process became ready."""
        return replace(self, ready_at=now)

    def died(self, exit_class: ExitClass, policy: RestartPolicy, now: float, chance: float) -> tuple[History, Pause]:
        """Note that the process died, and decide when to start the next.

        Args:
            exit_class: How it died.
            policy: The numbers.
            now: Seconds of a clock that never goes back.
            chance: A number from 0 and below 1.

        """
        known = self._settled(policy, now)._counted(exit_class, policy, now)
        spread = 1 + policy.jitter * (2 * chance - 1)
        budget = _budget(known.starts, policy, now)
        if known.is_open or sum(weight for _, weight in known.deaths) >= policy.breaker_deaths:
            wait = policy.half_open[min(known.trials, len(policy.half_open) - 1)].total_seconds()
            opened = replace(known, is_open=True, trials=known.trials + 1)
            return opened, Pause(Wait.BREAKER, timedelta(seconds=max(wait * spread, budget)))
        return known, Pause(Wait.BACKOFF, timedelta(seconds=max(_delay(known.step, policy) * spread, budget)))

    def _settled(self, policy: RestartPolicy, now: float) -> History:
        """Forget what is long ago, and what a long service makes good."""
        horizon = now - policy.window.total_seconds()
        known = replace(
            self,
            ready_at=None,
            deaths=tuple(death for death in self.deaths if death[0] > horizon),
            starts=tuple(start for start in self.starts if start > horizon),
        )
        served = -1.0 if self.ready_at is None else now - self.ready_at
        if served >= policy.full_reset.total_seconds():
            return replace(known, step=0, trials=0, temporary=0, is_open=False, deaths=())
        if served >= policy.stable.total_seconds():
            return replace(known, step=0, temporary=0, is_open=False)
        return known

    def _counted(self, exit_class: ExitClass, policy: RestartPolicy, now: float) -> History:
        temporary = self.temporary + (exit_class is ExitClass.TEMPORARY)
        is_free = exit_class is ExitClass.TEMPORARY and temporary <= policy.free_temporary
        weight = 0.0 if is_free else _WEIGHTS.get(exit_class, 1.0)
        # A start that hung costs far more than one that failed, so it counts as two steps.
        step = self.step + (2 if exit_class is ExitClass.START_TIMEOUT else 1)
        return replace(self, step=step, temporary=temporary, deaths=(*self.deaths, (now, weight)))


def _delay(step: int, policy: RestartPolicy) -> float:
    return min(policy.cap.total_seconds(), policy.first.total_seconds() * policy.factor ** min(step - 1, 64))


def _budget(starts: tuple[float, ...], policy: RestartPolicy, now: float) -> float:
    """Seconds until another start is within the limit of starts per window."""
    excess = len(starts) - policy.starts_per_window
    return 0.0 if excess < 0 else starts[excess] + policy.window.total_seconds() - now
