"""How things are measured here: turn and turn about, so that what slows the machine slows all sides."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tests.bench.row import Limit, Row, Verdict, ratios
from tests.bench.spread import noise_of, worded

__all__ = [
    "Effort",
    "Limit",
    "Pairs",
    "Row",
    "Timed",
    "Verdict",
    "in_turns",
    "in_turns_of",
    "noise_of",
    "percentile",
    "seconds",
    "worded",
]

Found = TypeVar("Found")

Timed = Callable[[], Awaitable[float]]
"""Does something once and returns the figure of it."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured."""

    rounds: int
    is_full: bool
    """Every size up to what is promised, instead of sizes that are quick."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """What two ways of doing something took, measured in turns."""

    ours: Sequence[float]
    base: Sequence[float]

    @property
    def ratio(self) -> float:
        """The median of the pairs' ratios."""
        return statistics.median(ratios(self.ours, self.base))

    @property
    def noise(self) -> float:
        """By how much the ratio may be off."""
        return noise_of(ratios(self.ours, self.base))


async def in_turns(ours: Timed, base: Timed, rounds: int) -> Pairs:
    """Do both, turn and turn about, after one round that does not count."""
    found = await in_turns_of({"ours": ours, "base": base}, rounds, is_in_order=True)
    return Pairs(found["ours"], found["base"])


async def in_turns_of(
    ways: Mapping[str, Callable[[], Awaitable[Found]]], rounds: int, *, is_in_order: bool = False
) -> dict[str, list[Found]]:
    """Do several things in turns, after one round that does not count; each round begins with another of them.

    Where one needs what another did, they stay `is_in_order`.
    """
    for way in ways.values():
        await way()
    found: dict[str, list[Found]] = {name: [] for name in ways}
    names = list(ways)
    for number in range(rounds):
        first = 0 if is_in_order else number % len(names)
        for name in names[first:] + names[:first]:
            found[name].append(await ways[name]())
    return found


async def seconds(work: Awaitable[object]) -> float:
    """Return how long something takes."""
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile of some values."""
    return statistics.quantiles(values, n=100)[percent - 1]
