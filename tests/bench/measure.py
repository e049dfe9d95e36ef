"""How things are measured here: turn and turn about, with the spread of what was found."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

Timed = Callable[[], Awaitable[float]]
"""Does something once and returns the figure of it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    measure: str
    figure: str
    """What was measured, with its unit."""
    base: str = ""
    """What it is compared with, with its unit."""
    ratio: float | None = None
    goal: float | None = None
    """The ratio should not be above this."""
    noise: float = 0.0
    """Half of the interquartile range of the pairs' ratios."""

    @property
    def falls_short(self) -> bool:
        """Whether the goal is missed by more than the noise."""
        return self.ratio is not None and self.goal is not None and self.ratio - self.noise > self.goal


@dataclass(frozen=True, slots=True)
class Pairs:
    """What two ways of doing something took, measured in turns."""

    ours: Sequence[float]
    base: Sequence[float]

    @property
    def ratio(self) -> float:
        """The median of the pairs' ratios: what slows the machine for a while slows both of a pair."""
        return statistics.median(self._ratios())

    @property
    def noise(self) -> float:
        """Half of the interquartile range of the pairs' ratios."""
        low, _, high = statistics.quantiles(self._ratios(), n=4)
        return (high - low) / 2

    def _ratios(self) -> list[float]:
        return [ours / base for ours, base in zip(self.ours, self.base, strict=True)]


async def in_turns(ours: Timed, base: Timed, rounds: int) -> Pairs:
    """Do both, turn and turn about, after one round that does not count."""
    await ours()
    await base()
    found = [(await ours(), await base()) for _ in range(rounds)]
    return Pairs([pair[0] for pair in found], [pair[1] for pair in found])


async def seconds(work: Awaitable[object]) -> float:
    """Return how long something takes."""
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile of some values."""
    return statistics.quantiles(values, n=100)[percent - 1]
